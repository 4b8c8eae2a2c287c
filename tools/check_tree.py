"""Check the rules of the tree that no linter knows; standard library and git only. Part of `make lint`."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LONGEST_MODULE = 450  # lines
REQUIRED = ("LICENSE", "README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", ".ci/run")
DISTRIBUTIONS = ("protocol", "appliance", "host")
LOCKS = ("build", *DISTRIBUTIONS, "dev")

HOME_PATH = re.compile(r"(?<![\w.~-])/(?:root|home/\w+|Users/\w+)/\w")
# Where packages come from is a setting of each machine, never of this repository.
MIRROR = re.compile(
    r"\b(?:deb|ftp\d?|archive|security|snapshot|mirror)[\w.]*\.(?:debian|ubuntu|raspbian|raspberrypi)\.(?:org|com)\b"
    r"|\bpyp[i]\.(?:org|python\.org)\b|\bpythonhoste[d]\.org\b|\bpiwheel[s]\.org\b"
)
INDEX_OPTION = re.compile(
    r"^\s*(?:-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b|://", re.MULTILINE
)
UNFILLED = re.compile(r"@@[A-Z]+@@")
PINNED = re.compile(r"^([a-z0-9][a-z0-9-]*)==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", re.MULTILINE)


def tree() -> Iterator[tuple[str, str]]:
    """Yield path and text of every text file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    for name in sorted({raw.decode() for raw in listed.stdout.split(b"\0") if raw}):
        path = REPOSITORY / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield name, content.decode()


def faults_in_text(name: str, text: str) -> Iterator[str]:
    """Yield what is wrong with one file of the tree."""
    for number, line in enumerate(text.splitlines(), start=1):
        if HOME_PATH.search(line):
            yield f"{name}:{number}: names a path of one person's machine"
        if MIRROR.search(line):
            yield f"{name}:{number}: names a host that packages come from"
        if UNFILLED.search(line):
            yield f"{name}:{number}: stands for something that was never filled in"
    if name.endswith("package-lock.json"):
        packages = json.loads(text)["packages"]
        if any("resolved" in package for package in packages.values()):
            yield f"{name}: names where packages come from (npm config: omit-lockfile-registry-resolved)"
        if unpinned := [path for path, package in packages.items() if path and "integrity" not in package]:
            yield f"{name}: without a hash: {', '.join(unpinned)}"
    if name.endswith(".py") and (lines := text.count("\n")) > LONGEST_MODULE:
        yield f"{name}: {lines} lines; a module has at most {LONGEST_MODULE}"


def _names(requirements: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][a-z0-9-]*)", requirements, re.MULTILINE))


def faults_in_locks() -> Iterator[str]:
    """Yield what is wrong with the locks: an index address, a missing hash, a list unlike pyproject's."""
    folder = REPOSITORY / "requirements"
    for name in LOCKS:
        lock = (folder / f"{name}.txt").read_text(encoding="utf-8")
        if INDEX_OPTION.search(lock):
            yield f"requirements/{name}.txt: holds an index address"
        if unpinned := _names(lock) - set(PINNED.findall(lock)):
            yield f"requirements/{name}.txt: without version and hash: {', '.join(sorted(unpinned))}"
        if forgotten := _names((folder / f"{name}.in").read_text(encoding="utf-8")) - _names(lock):
            yield f"requirements/{name}.txt: lacks {', '.join(sorted(forgotten))}: run `make lock`"
    for name in DISTRIBUTIONS:
        project = tomllib.loads((REPOSITORY / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        declared = {each for each in project["dependencies"] if not each.startswith("undercroft-")}
        if declared != _names((folder / f"{name}.in").read_text(encoding="utf-8")):
            yield f"{name}/pyproject.toml and requirements/{name}.in list different packages"


def main() -> int:
    faults = [f"{name}: is missing" for name in REQUIRED if not (REPOSITORY / name).is_file()]
    count = 0
    for name, text in tree():
        count += 1
        faults += faults_in_text(name, text)
    faults += faults_in_locks()
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"The tree: {count} text files checked, {len(faults)} faults.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
