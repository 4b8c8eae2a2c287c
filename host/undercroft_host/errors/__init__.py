"""Everything the host can answer with instead of a result, each with a stable code and the exit code of its kind.

A class per cause; its docstring is the message, ``detail`` says which, ``hint`` says what to do next. Nothing that went
wrong is ever half done: whoever raises one of these has written nothing, or says so. A new one goes into the module of
its area; all are imported from here.
"""

from .custody import *  # noqa: F403 - every cause of every area
from .gateway import *  # noqa: F403
from .home import *  # noqa: F403
from .kinds import *  # noqa: F403
from .links import *  # noqa: F403
from .store import *  # noqa: F403
from .treasury import *  # noqa: F403
from .vault import *  # noqa: F403
