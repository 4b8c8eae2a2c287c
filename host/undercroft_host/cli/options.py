"""What may stand anywhere on the command line, and the environment; light, so that ``--help`` is quick."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Options:
    """One run's global options."""

    home: str | None = None
    json: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
