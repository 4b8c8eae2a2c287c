"""Custody: the appliances and their owners, the quorum, its policy, activations, and the appliances' logs.

Everything an appliance states is kept as received and verified before it is kept.
"""
