"""The command ``undercroft``: noun, verb; data on stdout, all else on stderr. One module for each noun."""
