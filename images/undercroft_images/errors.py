"""What can go wrong while an image is built, measured or booted."""


class ImageError(Exception):
    """The image cannot be built or is not what it must be; the message says what to do."""
