"""A process that holds what it is given in one page of memory and in no Python object.

`python -I -S memory_holder.py` reads pages from stdin straight into the page and says "ready" for each.
"""

import mmap
import os
import sys

page = mmap.mmap(-1, mmap.PAGESIZE)
while os.readv(0, [page]) == mmap.PAGESIZE:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
