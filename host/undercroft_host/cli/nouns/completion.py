"""``undercroft completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ...errors import Failure
from ..app import App, pass_app
from ..program import Verb

_VARIABLE = "_UNDERCROFT_COMPLETE"


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_app
def command(app: App, shell: str) -> None:
    """Print the script that completes nouns, verbs and options; for bash: eval "$(undercroft completion bash)"."""
    kind = get_completion_class(shell)
    if kind is None:
        raise Failure(f"no completion for {shell}")
    completion = kind(click.Group(), {}, "undercroft", _VARIABLE)
    script = completion.source_template % completion.source_vars()
    app.put({"shell": shell, "script": script}, text=script)
