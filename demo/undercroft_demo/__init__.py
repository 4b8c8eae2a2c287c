"""The stage for the demo and the system tests: a real node, real lines, real appliances, scripted owners. Never shipped."""
