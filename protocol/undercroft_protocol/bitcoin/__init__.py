"""Bitcoin values: transactions, scripts, hashes for signing, keys, descriptors, addresses, PSBTs.

Values and pure functions only; no policy, no state, no network. Nothing is re-exported.
"""
