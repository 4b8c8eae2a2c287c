"""The serial line and the camera: hostile bytes in, whole messages out. It holds no key and looks into no message."""
