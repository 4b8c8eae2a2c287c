"""`make fuzz`: coverage-guided fuzzing (atheris, libFuzzer) of everything that reads a stranger's bytes.

Without a target every one is run in a process of its own, for so many seconds each; what breaks one is written to the
folder and named. Seeds are fixed and good inputs come first, so that a run can be repeated.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
NAMES = (
    "batch",
    "bbqr",
    "cbor",
    "collector",
    "cose",
    "eye",
    "fast",
    "frame",
    "link",
    "policy",
    "psbt",
    "texts",
    "unsqueeze",
    "ur-bytewords",
    "ur-part",
    "ur-registry",
    "ur-text",
    "y4m",
)
MOST_BYTES = 65_536
MOST_SECONDS_EACH = 10
"""One input that takes longer is a finding: the parsers' bounds are broken."""
MOST_MEGABYTES = 1024
MOST_TOLD = 4000
"""Characters of what a broken run said."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--target", choices=NAMES, help="this one only")
    parser.add_argument("--folder", type=Path, help="where inputs that break something go (default: a new one)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="undercroft-fuzz-"))
    if options.inside:
        return _fuzz(options.target, options.seconds, folder)
    failed = []
    names = (options.target,) if options.target else NAMES
    for name in names:
        print(f"{name:<12} {options.seconds} s ... ", end="", flush=True)
        command = [sys.executable, __file__, "--inside", "--target", name, "--seconds", str(options.seconds)]
        done = subprocess.run([*command, "--folder", str(folder)], capture_output=True, text=True, check=False)
        told = done.stdout + done.stderr
        if done.returncode == 0:
            runs, new = _stat(told, "number_of_executed_units"), _stat(told, "new_units_added")
            print(f"{runs:,} inputs, {new} of them new ground")
        else:
            failed.append(name)
            print(f"BROKEN\n{told[-MOST_TOLD:]}")
    if failed:
        print(f"\nbroken: {', '.join(failed)}; the inputs that did it are in {folder}", file=sys.stderr)
        return 1
    print(f"\nnothing broke in {options.seconds} s each: {', '.join(names)}")
    return 0


def _stat(told: str, name: str) -> int:
    found = re.search(rf"^stat::{name}: *([0-9]+)$", told, re.MULTILINE)
    return int(found[1]) if found else 0


def _fuzz(name: str, seconds: int, folder: Path) -> int:
    import atheris  # noqa: PLC0415 - only here: it is not among the tests' own packages

    sys.path[:0] = [str(TESTS)]
    # Only our own code guides the search; what it imports is loaded before.
    with atheris.instrument_imports(include=["undercroft_protocol", "undercroft_appliance"]):
        from fuzz import targets  # noqa: PLC0415
    seeds = folder / f"{name}-seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(targets.seeds(name)):
        (seeds / f"good-{number}").write_bytes(data)
    arguments = [
        sys.argv[0], str(seeds), "-seed=1", f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}",
        f"-timeout={MOST_SECONDS_EACH}", f"-rss_limit_mb={MOST_MEGABYTES}", "-print_final_stats=1", "-verbosity=0",
        f"-artifact_prefix={folder / name}-",
    ]  # fmt: skip
    target: Any = targets.TARGETS[name]
    atheris.Setup(arguments, target)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
