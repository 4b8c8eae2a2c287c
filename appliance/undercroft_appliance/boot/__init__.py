"""The first process of an appliance's own operating system (PID 1): from the kernel to the supervisor."""
