"""Builds the appliance's operating system: pinned packages in, the same bytes out."""
