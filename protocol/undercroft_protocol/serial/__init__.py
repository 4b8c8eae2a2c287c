"""The serial link: frames, a reliable message machine without I/O, and the driver that runs it over a tty.

`link.SerialLink` is what both sides use.
"""
