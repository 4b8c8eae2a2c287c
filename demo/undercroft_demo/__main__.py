"""`make demo`: the main job on real parts, told step by step; its last line is JSON read from chain and database."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path
from typing import NoReturn

from .node import NodeMissingError
from .qmp import EmulatorError
from .stage import APPLIANCES, LINKS, PROCESSES, QEMU, QR, SAMPLE, SERIAL, Stage
from .story import Story, last_line
from .telling import Telling
from .working_folder import emptied

REPOSITORY = Path(__file__).resolve().parents[2]
DIRECTORY = REPOSITORY / "demo-run"


def main() -> None:
    parser = argparse.ArgumentParser(prog="undercroft_demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="the working folder (default: demo-run)")
    parser.add_argument(
        "--link", default=SERIAL, choices=LINKS, help="what joins host and appliances (default: serial)"
    )
    parser.add_argument(
        "--appliance", default=PROCESSES, choices=APPLIANCES, help="what the appliances are (default: processes)"
    )
    options = parser.parse_args()
    if options.appliance == QEMU and options.link == QR:
        parser.error("the emulated board has no camera: --link serial")
    # A terminated demo must end what it started, as an interrupted one does.
    signal.signal(signal.SIGTERM, _interrupted)
    directory = emptied(options.directory.absolute())
    telling = Telling()
    telling.say(f"Undercroft, the main job on real parts, in {directory}")
    try:
        with Stage.built(directory, options.link, options.appliance) as stage:
            summary = Story(stage, telling).run()
            if options.keep:
                _keep(stage, telling)
            telling.chapter("Everything is stopped; the working folder stays")
            if options.link == QR:
                telling.say(f"what the cameras saw: {directory / SAMPLE}")
    except (NodeMissingError, EmulatorError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("Interrupted; everything is stopped.", file=sys.stderr)
        sys.exit(130)
    print(last_line(summary))


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _keep(stage: Stage, telling: Telling) -> None:
    telling.chapter("Everything is left running (KEEP=1)")
    telling.say("Look around in another terminal:")
    telling.say(f"   cd {shlex.quote(str(REPOSITORY))}")
    telling.say(f"   export UNDERCROFT_HOME={shlex.quote(str(stage.operator.home))}")
    for command in (
        "status --ask",
        "withdrawal show w-001",
        "risk show w-001",
        "payment list",
        "treasury balance",
        "appliance show alice",
        "audit list",
        "--help",
    ):
        telling.say(f"   .venv/bin/undercroft {command}")
    telling.say("Ctrl-C here stops everything.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        telling.say("")


if __name__ == "__main__":
    main()
