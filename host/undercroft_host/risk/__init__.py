"""The online risk service: judges deposits and withdrawals, explains each verdict, and signs clearances.

It runs as a process of its own with a key of its own, so that the vault alone clears nothing.
"""
