"""The serial line: hostile bytes in, whole messages out. It holds no key and looks into no message."""
