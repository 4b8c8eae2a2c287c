"""One module for each noun; each has a ``command``."""
