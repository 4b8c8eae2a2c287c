"""Put other people's UR and BBQr code (npm) into `.tools/interop`, for the tests that compare ours with it.

Standard library only. The packages are those of tests/interop/package-lock.json, each checked by its hash; none of
their install scripts is run. Where there is no node, no npm or no network, the first set-up says so and the tests skip.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

from private_apt import exclusive, say

SECONDS = 300
STAMP = "undercroft-setup.stamp"
FAILED = "undercroft-setup.failed"
NO_NPM = "interop.none"
NAMES = ("package.json", "package-lock.json")


def ensure_interop(source: Path, tools: Path) -> None:
    """Make `tools`/interop hold the locked packages; does nothing when it does, or when they could not be had."""
    wanted = hashlib.sha256(b"".join((source / name).read_bytes() for name in NAMES)).hexdigest() + "\n"
    folder = tools / "interop"
    if any(_says(folder / name, wanted) for name in (STAMP, FAILED)):
        return
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        _tell_once(tools / NO_NPM)
        return
    with exclusive(tools / "setup.lock"):
        if _says(folder / STAMP, wanted):
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name in (STAMP, FAILED):
            (folder / name).unlink(missing_ok=True)
        for name in NAMES:
            shutil.copyfile(source / name, folder / name)
        say("installing other people's UR and BBQr code for the tests (npm, each package checked by its hash) ...")
        if _install(npm, folder):
            (folder / STAMP).write_text(wanted, encoding="utf-8")
        else:
            (folder / FAILED).write_text(wanted, encoding="utf-8")
            say("npm could not: the tests against it will be skipped (remove .tools/interop to try again)")


def _tell_once(told: Path) -> None:
    # Every target of the Makefile begins with the set-up.
    if not told.exists():
        say("no node and npm here: the tests against other people's UR and BBQr code will be skipped")
        told.parent.mkdir(parents=True, exist_ok=True)
        told.touch()


def _says(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text(encoding="utf-8") == wanted


def _install(npm: str, folder: Path) -> bool:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
