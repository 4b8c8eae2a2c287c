"""What the appliance and the host speak: values and pure functions; no policy, no state, no I/O but the tty."""
