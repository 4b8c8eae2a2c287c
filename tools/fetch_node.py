"""Put a `bitcoind` for demo and tests behind `.tools/bin/bitcoind`; standard library only.

Bitcoin Core or Knots >= 27 from PATH is used when it is there. Otherwise Debian's `bitcoin-knots` is fetched
from sid with the libraries it needs, by the machine's own apt-get in a directory of ours (`private_apt`). The
program runs by the loader it came with, so an older system's C library does not matter.
"""

import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

from private_apt import FetchError, PrivateApt, check_debian, exclusive, mirrors, run, say, write_launcher

OLDEST_MAJOR = 27
PACKAGE = "bitcoin-knots"
PROGRAMS = ("bitcoind", "bitcoin-cli")
KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
WHAT_TO_INSTALL = (
    "Install Bitcoin Core or Bitcoin Knots, version 27 or newer, so that `bitcoind` is on your PATH, "
    "and run the same command again."
)
_VERSION = re.compile(r"^Bitcoin (?:Core|Knots)\b.* version v(\d+)\.\S+", re.MULTILINE)


def version_of(bitcoind: Path) -> tuple[int, str]:
    """Return the major version and the version line of a bitcoind; FetchError when it does not run as one."""
    found = _VERSION.search(run(bitcoind, "-version"))
    if found is None:
        raise FetchError(f"{bitcoind} is neither Bitcoin Core nor Bitcoin Knots")
    return int(found[1]), found[0]


def working_node(tools: Path) -> str | None:
    """Return the version line of `.tools/bin/bitcoind`, or None when none runs or it is too old."""
    try:
        major, line = version_of(tools / "bin" / "bitcoind")
    except FetchError:
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
    except FetchError as error:
        say(f"{node} cannot be used ({error})")
        return None
    if major < OLDEST_MAJOR:
        say(f"{node} is too old ({line})")
        return None
    return node


def _use_system_node(tools: Path, node: Path) -> None:
    for name in PROGRAMS:
        program = node.with_name(name)
        if program.exists():
            write_launcher(tools / "bin" / name, f'exec {shlex.quote(str(program))} "$@"')


def _write_tree_launchers(tools: Path) -> None:
    [loader] = (tools / "bitcoind" / "lib").glob("ld-linux-*.so.*")
    for name in PROGRAMS:
        # The place is found when the launcher runs: the repository can be moved and its path may have spaces.
        write_launcher(
            tools / "bin" / name,
            'tree=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")/bitcoind\n'
            f'exec "$tree/lib/{loader.name}" --library-path "$tree/lib" "$tree/bin/{name}" "$@"',
        )


def _sid(place: Path, mirror: str, keyring: Path) -> PrivateApt:
    """Return an apt that knows Debian sid at `mirror` and trusts `keyring` alone; or raise FetchError."""
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
    raise FetchError(f"no Debian archive keyring under {root}; install the package debian-archive-keyring")


def _open_sid(work: Path) -> PrivateApt:
    complaints = []
    for number, mirror in enumerate(mirrors()):
        try:
            return _sid(work / f"sid-{number}", mirror, _keyring_in(Path("/")))
        except FetchError as error:
            complaints.append(f"{mirror}: {error}")
        if "NO_PUBKEY" in complaints[-1] or "Missing key" in complaints[-1]:
            say("the archive keyring here is older than sid's keys; fetching the newest one")
            try:
                return _sid(work / f"sid-{number}-again", mirror, _newest_keyring(work / f"keyring-{number}"))
            except FetchError as error:
                complaints.append(f"{mirror}, newest keyring: {error}")
    raise FetchError("\n".join(["no archive in this machine's apt settings serves Debian sid", *complaints]))


def _keep_what_runs(root: Path, tree: Path) -> None:
    """Copy the programs, their loader and the libraries they load from an unpacked system into `tree`."""
    [loader] = (found for found in root.glob("usr/lib/*-linux-*/ld-linux-*.so.*") if not found.is_symlink())
    for folder in ("bin", "lib"):
        (tree / folder).mkdir(parents=True)
    shutil.copy2(loader, tree / "lib")
    for name in PROGRAMS:
        program = root / "usr/bin" / name
        shutil.copy2(program, tree / "bin")
        listing = run(loader, "--inhibit-cache", "--library-path", loader.parent, "--list", program)
        for library in re.findall(r"^\s*(lib\S+) => ", listing, re.MULTILINE):
            shutil.copy2(loader.parent / library, tree / "lib" / library)


def fetch_into(tools: Path) -> None:
    """Fetch bitcoin-knots into `tools`/bitcoind, complete or not at all; FetchError says why not."""
    check_debian()
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
    """Make `tools`/bin/bitcoind a node that runs; does nothing when it is one already. Raises FetchError."""
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


def no_node(error: FetchError) -> str:
    """Return what a person is told when there is no node to be had: why, and what to install."""
    return f"No bitcoind could be set up.\n{error}\n\n{WHAT_TO_INSTALL}"


def main() -> int:
    try:
        ensure_node(Path(__file__).resolve().parent.parent / ".tools")
    except FetchError as error:
        print(f"\n{no_node(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
