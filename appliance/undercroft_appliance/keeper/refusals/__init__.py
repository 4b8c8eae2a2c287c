"""Every reason for which the keeper says no, in one table.

The exact code is for the owner's screen and the log; the host learns its coarse class only, so that whoever took the
host over cannot feel its way along a limit. A new code goes into the module of its stage; all are imported from here.
"""

from .activating import *  # noqa: F403 - every code of every stage
from .asking import *  # noqa: F403
from .judging import *  # noqa: F403
from .proving import *  # noqa: F403
from .table import *  # noqa: F403
