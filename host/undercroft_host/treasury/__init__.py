"""The books: double entry, deposits credited, payments settled, and their agreement with the chain."""
