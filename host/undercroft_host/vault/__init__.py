"""What the host holds and owes on chain: addresses, withdrawals, and the transactions that pay them."""
