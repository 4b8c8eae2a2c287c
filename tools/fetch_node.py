"""Put a `bitcoind` for demo and tests behind `.tools/bin/bitcoind`; standard library only.

Bitcoin Core or Knots >= 27 from PATH is used when it is there. Otherwise Debian's `bitcoin-knots` is fetched
from sid with the libraries it needs, by the machine's own apt-get in a directory of ours: no root, nothing
installed. apt checks the archive's signature and every package's hash. The program runs by the loader it came
with, so an older system's C library does not matter.
"""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

OLDEST_MAJOR = 27
PACKAGE = "bitcoin-knots"
PROGRAMS = ("bitcoind", "bitcoin-cli")
KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
WHAT_TO_INSTALL = (
    "Install Bitcoin Core or Bitcoin Knots, version 27 or newer, so that `bitcoind` is on your PATH, "
    "and run the same command again."
)
_VERSION = re.compile(r"^Bitcoin (?:Core|Knots)\b.* version v(\d+)\.\S+", re.MULTILINE)


class NodeError(Exception):
    """No usable bitcoind could be found or fetched."""


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


def _run(*command: str | Path) -> str:
    """Run a command to its end and return what it printed; NodeError, with its last words, when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NodeError("\n".join(words[-6:]) or f"{command[0]} ended with code {done.returncode}")
    return done.stdout


def version_of(bitcoind: Path) -> tuple[int, str]:
    """Return the major version and the version line of a bitcoind; NodeError when it does not run as one."""
    try:
        found = _VERSION.search(_run(bitcoind, "-version"))
    except OSError as error:
        raise NodeError(f"{bitcoind} does not start: {error.strerror}") from error
    if found is None:
        raise NodeError(f"{bitcoind} is neither Bitcoin Core nor Bitcoin Knots")
    return int(found[1]), found[0]


def working_node(tools: Path) -> str | None:
    """Return the version line of `.tools/bin/bitcoind`, or None when none runs or it is too old."""
    try:
        major, line = version_of(tools / "bin" / "bitcoind")
    except NodeError:
        return None
    return line if major >= OLDEST_MAJOR else None


def _system_node(tools: Path) -> Path | None:
    own = (tools / "bin").resolve()
    elsewhere = os.pathsep.join(p for p in os.get_exec_path() if Path(p).resolve() != own)
    found = shutil.which("bitcoind", path=elsewhere)
    if found is None:
        return None
    node = Path(found).absolute()
    try:
        major, line = version_of(node)
    except NodeError as error:
        say(f"{node} cannot be used ({error})")
        return None
    if major < OLDEST_MAJOR:
        say(f"{node} is too old ({line})")
        return None
    return node


def _write_launcher(path: Path, command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(path)


def _use_system_node(tools: Path, node: Path) -> None:
    for name in PROGRAMS:
        program = node.with_name(name)
        if program.exists():
            _write_launcher(tools / "bin" / name, f'exec {shlex.quote(str(program))} "$@"')


def _write_tree_launchers(tools: Path) -> None:
    [loader] = (tools / "bitcoind" / "lib").glob("ld-linux-*.so.*")
    for name in PROGRAMS:
        # The place is found when the launcher runs: the repository can be moved and its path may have spaces.
        _write_launcher(
            tools / "bin" / name,
            'tree=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")/bitcoind\n'
            f'exec "$tree/lib/{loader.name}" --library-path "$tree/lib" "$tree/bin/{name}" "$@"',
        )


class PrivateApt:
    """The machine's apt-get with lists, cache and package status of our own: no root, nothing changed."""

    def __init__(self, place: Path, settings: str = "") -> None:
        self.place = place
        self.architecture = _run("dpkg", "--print-architecture").strip()
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
        return _run("apt-get", "-c", self.place / "apt.conf", "-q", "-y", *arguments)

    def unpack(self, target: Path) -> list[str]:
        """Unpack every downloaded package under `target`; return their file names."""
        archives = sorted((self.place / "cache" / "archives").glob("*.deb"))
        for archive in archives:
            _run("dpkg-deb", "-x", archive, target)
        return [archive.name for archive in archives]


def _mirrors() -> list[str]:
    """Return the archive addresses in the machine's apt settings (also before its first `apt-get update`)."""
    listed = re.findall(r"^'(\S+?)/dists/\S+' ", _run("apt-get", "update", "--print-uris"), re.MULTILINE)
    return [mirror for mirror in dict.fromkeys(listed) if not mirror.endswith("-security")]


def _sid(place: Path, mirror: str, keyring: Path) -> PrivateApt:
    """Return an apt that knows Debian sid at `mirror` and trusts `keyring` alone; or raise NodeError."""
    apt = PrivateApt(
        place,
        f'Dir::Etc::sourcelist "{place}/sources.list";\n'
        'Dir::Etc::sourceparts "/dev/null";\n'
        'Dir::Etc::trusted "/dev/null";\n'
        f'Dir::Etc::trustedparts "{place}/trusted";',
    )
    shutil.copyfile(keyring, place / "trusted" / "archive.gpg")
    # A mirror that stopped following sid is still good enough for a test node, hence no check of its date.
    (place / "sources.list").write_text(
        f"deb [arch={apt.architecture} target=Packages check-valid-until=no] {mirror} sid main\n",
        encoding="utf-8",
    )
    apt("update", "--error-on=any")
    return apt


def _newest_keyring(place: Path) -> Path:
    """Fetch `debian-archive-keyring` of the machine's suite; an old one does not know sid's signing keys."""
    apt = PrivateApt(place)
    apt("update")
    apt("install", "--download-only", "debian-archive-keyring")
    apt.unpack(place / "root")
    return _keyring_in(place / "root")


def _keyring_in(root: Path) -> Path:
    for name in KEYRINGS:
        keyring = root / "usr/share/keyrings" / name
        if keyring.exists():
            return keyring
    raise NodeError(f"no Debian archive keyring under {root}; install the package debian-archive-keyring")


def _open_sid(work: Path) -> PrivateApt:
    complaints = []
    for number, mirror in enumerate(_mirrors()):
        try:
            return _sid(work / f"sid-{number}", mirror, _keyring_in(Path("/")))
        except NodeError as error:
            complaints.append(f"{mirror}: {error}")
        if "NO_PUBKEY" in complaints[-1] or "Missing key" in complaints[-1]:
            say("the archive keyring here is older than sid's keys; fetching the newest one")
            try:
                return _sid(work / f"sid-{number}-again", mirror, _newest_keyring(work / f"keyring-{number}"))
            except NodeError as error:
                complaints.append(f"{mirror}, newest keyring: {error}")
    raise NodeError("\n".join(["no archive in this machine's apt settings serves Debian sid", *complaints]))


def _keep_what_runs(root: Path, tree: Path) -> None:
    """Copy the programs, their loader and the libraries they load from an unpacked system into `tree`."""
    [loader] = (found for found in root.glob("usr/lib/*-linux-*/ld-linux-*.so.*") if not found.is_symlink())
    for folder in ("bin", "lib"):
        (tree / folder).mkdir(parents=True)
    shutil.copy2(loader, tree / "lib")
    for name in PROGRAMS:
        program = root / "usr/bin" / name
        shutil.copy2(program, tree / "bin")
        listing = _run(loader, "--inhibit-cache", "--library-path", loader.parent, "--list", program)
        for library in re.findall(r"^\s*(lib\S+) => ", listing, re.MULTILINE):
            shutil.copy2(loader.parent / library, tree / "lib" / library)


def fetch_into(tools: Path) -> None:
    """Fetch bitcoin-knots into `tools`/bitcoind, complete or not at all; NodeError says why not."""
    for program in ("apt-get", "dpkg", "dpkg-deb"):
        if shutil.which(program) is None:
            raise NodeError(f"{program} is not here: this is no Debian system")
    for left_over in tools.glob("fetch-*"):
        shutil.rmtree(left_over)
    work = Path(tempfile.mkdtemp(prefix="fetch-", dir=tools))
    try:
        apt = _open_sid(work)
        apt("install", "--download-only", PACKAGE)
        names = apt.unpack(work / "root")
        _keep_what_runs(work / "root", work / "tree")
        (work / "tree" / "PACKAGES").write_text("\n".join(names) + "\n", encoding="utf-8")
        shutil.rmtree(tools / "bitcoind", ignore_errors=True)
        (work / "tree").replace(tools / "bitcoind")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def ensure_node(tools: Path) -> None:
    """Make `tools`/bin/bitcoind a node that runs; does nothing when it is one already. Raises NodeError."""
    if working_node(tools):
        return
    with exclusive(tools / "fetch.lock"):
        if working_node(tools):
            return
        system = _system_node(tools)
        if system is not None:
            _use_system_node(tools, system)
            say(f"bitcoind: using {system}")
        else:
            say("bitcoind: none here; fetching Debian's bitcoin-knots (about 40 MB) ...")
            start = time.monotonic()
            fetch_into(tools)
            _write_tree_launchers(tools)
            size = sum(file.stat().st_size for file in (tools / "bitcoind").rglob("*") if file.is_file())
            took = time.monotonic() - start
            say(f"bitcoind: fetched in {took:.0f} s; it takes {size / 1e6:.0f} MB in {tools.name}/bitcoind")
        _, line = version_of(tools / "bin" / "bitcoind")
        say(f"bitcoind: {line}")


def no_node(error: NodeError) -> str:
    """Return what a person is told when there is no node to be had: why, and what to install."""
    return f"No bitcoind could be set up.\n{error}\n\n{WHAT_TO_INSTALL}"


def main() -> int:
    try:
        ensure_node(Path(__file__).resolve().parent.parent / ".tools")
    except NodeError as error:
        print(f"\n{no_node(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
