"""The machine's own apt-get in directories of ours: Debian packages for demo, benchmarks and tests without root.

apt checks the archive's signature and every package's hash; nothing is installed. Standard library only.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAMS = ("apt-get", "dpkg", "dpkg-deb")


class FetchError(Exception):
    """Something could not be fetched."""


def say(line: str) -> None:
    print(f"  {line}", flush=True)


@contextlib.contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold an advisory lock on the file `lock`; a second set-up beside this one waits for it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work here: waiting for it ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(*command: str | Path, settings: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed; FetchError, with its last words, when it fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C", **(settings or {})},
            check=False,
        )
    except OSError as error:
        raise FetchError(f"{command[0]} does not start: {error.strerror}") from error
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        # apt tells the cause (a hash, a signature) first, and much behind it.
        causes = [word for word in words[:-6] if word.startswith("E: ")]
        raise FetchError("\n".join([*causes, *words[-6:]]) or f"{command[0]} ended with code {done.returncode}")
    return done.stdout


def check_debian() -> None:
    """Raise FetchError where there is no apt."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise FetchError(f"{program} is not here: this is no Debian system")


class PrivateApt:
    """The machine's apt-get with lists, cache and package status of our own: no root, nothing changed."""

    def __init__(self, place: Path, settings: str = "") -> None:
        self.place = place
        self.architecture = run("dpkg", "--print-architecture").strip()
        for folder in ("lists/partial", "cache/archives/partial", "trusted"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        (place / "status").touch()
        # The hooks of the machine's settings (package kits, cache cleaners) are none of our business.
        (place / "apt.conf").write_text(
            f"""#clear APT::Update;
#clear DPkg;
#clear APT::Architectures;
APT::Architecture "{self.architecture}";
APT::Architectures {{ "{self.architecture}"; }};
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{place}";
Dir::State::status "{place}/status";
Dir::Cache "{place}/cache";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
{settings}
""",
            encoding="utf-8",
        )

    def __call__(self, *arguments: str) -> str:
        return run("apt-get", "-c", self.place / "apt.conf", "-q", "-y", *arguments)

    def unpack(self, target: Path) -> list[str]:
        """Unpack every downloaded package under `target`; return their file names."""
        archives = sorted((self.place / "cache" / "archives").glob("*.deb"))
        for archive in archives:
            run("dpkg-deb", "-x", archive, target)
        return [archive.name for archive in archives]


def mirrors() -> list[str]:
    """Return the archive addresses in the machine's apt settings (also before its first `apt-get update`)."""
    return [mirror for mirror, is_security in _archives().items() if not is_security]


def security_mirrors() -> list[str]:
    """Return those of security updates; where the settings name none, what by Debian's custom lies beside mirrors."""
    archives = _archives()
    named = [mirror for mirror, is_security in archives.items() if is_security]
    return named or [f"{mirror}-security" for mirror in archives]


def _archives() -> dict[str, bool]:
    """The addresses in apt's order, and whether each is one of security updates, as its first suite is called."""
    listed = re.findall(r"^'(\S+?)/dists/([^/\s]+)/\S+' ", run("apt-get", "update", "--print-uris"), re.MULTILINE)
    found: dict[str, bool] = {}
    for mirror, suite in listed:
        found.setdefault(mirror, suite.endswith("-security"))
    return found


def write_launcher(path: Path, command: str) -> None:
    """Put a shell script that runs `command` at `path`, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(path)
