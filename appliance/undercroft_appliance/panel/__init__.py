"""The owner's screen and keyboard: draws what the keeper tells it, and passes back what the owner chose."""
