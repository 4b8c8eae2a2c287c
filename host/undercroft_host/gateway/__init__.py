"""The host's eyes and mouth on the Bitcoin network: follows the chain through one node, and broadcasts."""
