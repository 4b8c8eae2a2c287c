"""The desk: the part of the host that talks to appliances, and believes of their answers only what it has verified."""
