"""`make image-test`: three appliances of the very file that ships do the whole job; the last line is JSON.

Exit code 1 when anything is not as it must be, with the reason on stderr.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from .. import image_peripherals
from ..node import NodeMissingError, NodeStartError
from ..operator import UnexpectedExitError
from ..qmp import EmulatorError
from ..stage import QEMU, SERIAL, Stage
from ..story import StoryError
from ..telling import Telling
from ..working_folder import emptied
from .trial import Trial

DIRECTORY = Path(__file__).resolve().parents[3] / "build" / "image-test"


def main() -> int:
    """Run the command; returns its exit code."""
    # A terminated test must end what it started, as an interrupted one does.
    signal.signal(signal.SIGTERM, _interrupted)
    if sys.argv[1:2] == [image_peripherals.NAME]:
        return image_peripherals.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="make image-test", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="the working folder")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        with Stage.built(emptied(options.directory.absolute()), SERIAL, QEMU, record=True) as stage:
            summary = Trial(stage, Telling()).run()
    except (
        EmulatorError, NodeMissingError, NodeStartError, StoryError, UnexpectedExitError, RuntimeError, TimeoutError,
        subprocess.TimeoutExpired,
    ) as error:  # fmt: skip
        print(f"\nimage-test FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; everything is stopped.", file=sys.stderr)
        return 130
    print(json.dumps({**summary, "total_seconds": round(time.monotonic() - began, 1)}, sort_keys=True))
    return 0


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
