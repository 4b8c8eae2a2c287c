"""What runs online: gateway, vault, risk, treasury, desk, custody, their store and their CLI."""
