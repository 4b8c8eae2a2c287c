"""Make `.venv/` and `.tools/`: the locked packages, our three distributions, a bitcoind, peers. Run by `make setup`.

Standard library only. It can be run again at any time: what is complete is left alone (told by a stamp that
is written last); what is missing, outdated or moved from elsewhere is done again. It needs no root.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import fetch_debs
import fetch_interop
import fetch_node
from private_apt import FetchError, exclusive, say

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "undercroft-setup.stamp"
TOOLS = REPOSITORY / ".tools"
NO_DEBS = TOOLS / "debs.failed"
DISTRIBUTIONS = ("protocol", "appliance", "host")
# Settings of a person's shell that would send packages elsewhere or mix other people's modules in.
UNWANTED_SETTINGS = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_HASHES")


class SetupError(Exception):
    """A step of the set-up failed; what it printed itself stands above."""


def _run(*command: str | Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED_SETTINGS}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        env={**environment, "PIP_USER": "0"},
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(f"this failed: {shlex.join(str(part) for part in command)}")


def _pip(*arguments: str | Path) -> None:
    quietly = ("--quiet", "--quiet", "--no-input", "--disable-pip-version-check")
    _run(PYTHON, "-m", "pip", "install", *quietly, *arguments)


def _venv_setting(name: str) -> str:
    """Return a value of `.venv`'s own record, `pyvenv.cfg`, or an empty string."""
    try:
        record = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    found = re.search(rf"^{name} = (.*)$", record, re.MULTILINE)
    return found[1] if found else ""


def _wanted_stamp() -> str:
    """Return what the stamp of a complete `.venv` says: a hash of what it is made from and of its place."""
    # An upgrade of the system may put another Python beneath .venv, whose packages it then does not see.
    digest = hashlib.sha256(f"{REPOSITORY}\n{sys.version_info[:2]}\n".encode())
    for path in (
        REPOSITORY / "requirements/build.txt",
        REPOSITORY / "requirements/dev.txt",
        *(REPOSITORY / name / "pyproject.toml" for name in DISTRIBUTIONS),
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest() + "\n"


def _is_complete() -> bool:
    try:
        return PYTHON.exists() and STAMP.read_text(encoding="utf-8") == _wanted_stamp()
    except FileNotFoundError:
        return False


def _is_usable() -> bool:
    """Tell whether `.venv` was made at this very place and still starts; a moved or copied one fails."""
    if not _venv_setting("command").endswith(f" {VENV}") or not PYTHON.exists():
        return False
    version = ".".join(_venv_setting("version").split(".")[:2])
    probe = f"import pip, sys; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    return subprocess.run([str(PYTHON), "-c", probe], stderr=subprocess.DEVNULL, check=False).returncode == 0


def _make_venv() -> None:
    if VENV.exists():
        say(".venv was made elsewhere or does not start: making it anew")
        shutil.rmtree(VENV)
    # When this runs inside the very .venv that was just removed, only the Python beneath it is still there.
    base = Path(getattr(sys, "_base_executable", sys.executable))
    say(f"making .venv with Python {sys.version_info.major}.{sys.version_info.minor} ({base})")
    _run(base, "-m", "venv", VENV)


def _install() -> None:
    locks = REPOSITORY / "requirements"
    count = len(re.findall(r"^\S+==", (locks / "dev.txt").read_text(encoding="utf-8"), re.MULTILINE))
    say(f"installing {count} locked packages, each checked by its hash (a minute or two) ...")
    # The build backends come first, also by their hashes: no build may fetch one of its own.
    _pip("--require-hashes", "--requirement", locks / "build.txt")
    _pip("--require-hashes", "--no-build-isolation", "--use-pep517", "--requirement", locks / "dev.txt")
    say("installing the three distributions of this tree: protocol, appliance, host")
    editable = [part for name in DISTRIBUTIONS for part in ("--editable", REPOSITORY / name)]
    _pip("--no-deps", "--no-build-isolation", *editable)


def ensure_venv() -> None:
    """Make `.venv` complete; does nothing when it is. Raises SetupError."""
    if _is_complete():
        return
    with exclusive(TOOLS / "setup.lock"):
        if _is_complete():
            return
        start = time.monotonic()
        if not _is_usable():
            _make_venv()
        STAMP.unlink(missing_ok=True)
        _install()
        STAMP.write_text(_wanted_stamp(), encoding="utf-8")
        say(f".venv is ready, after {time.monotonic() - start:.0f} s")


def _try_debs() -> None:
    """Fetch what only comparisons need, once: where it cannot be had, the next run does not try again."""
    if NO_DEBS.exists():
        return
    try:
        fetch_debs.ensure_debs(TOOLS)
    except FetchError as error:
        NO_DEBS.write_text(f"{error}\n", encoding="utf-8")
        say(f"{', '.join(fetch_debs.missing(TOOLS))}: not to be had here; what compares with them is left out")
        say(f"(why: {NO_DEBS.relative_to(REPOSITORY)}; remove it to try again)")


def main() -> int:
    try:
        ensure_venv()
        _try_debs()
        fetch_interop.ensure_interop(REPOSITORY / "tests" / "interop", TOOLS)
        fetch_node.ensure_node(TOOLS)
    except FetchError as error:
        print(f"\n{fetch_node.no_node(error)}", file=sys.stderr)
    except (SetupError, OSError) as error:
        print(f"\nThe set-up stopped: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted. The next run goes on from here.", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
