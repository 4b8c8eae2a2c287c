"""What the home folder and its keys can answer with instead of a result."""

from __future__ import annotations

from .kinds import Failure, NotFound


class ConfigurationProblem(Failure):
    """The host is set up wrongly."""

    code = "configuration"


class KeyFileProblem(Failure):
    """This key file cannot be used."""

    code = "key-file"


class NotInitialised(NotFound):
    """There is no Undercroft home here."""

    code = "not-initialised"
    default_hint = "make one with: undercroft init, or name it with --home"
