"""`undercroft-appliance memscan`: looks for known secrets in all the memory of running processes.

It reads /proc/PID/mem, as root: what only the kernel has in its own memory (a terminal's buffers, free pages) is
not looked at. The demonstration on a whole appliance is `make memscan`, since it needs a host's side.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from undercroft_appliance.errors import ConfigurationError
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import Envelope

from .key_secrets import KeySecrets
from .memory_search import Search
from .naive_run import scans_of_naive_signer
from .process_memory import with_children
from .scan_table import HEAD, named, row
from .secret_forms import Secret, words_missing

EXIT_NONE: Final = 0
EXIT_FOUND: Final = 1
_NAIVE_SIGNATURES: Final = 1000
_DESCRIPTION: Final = """\
Looks for secrets in every readable map of processes, as they are and in every form that software makes of them:
reversed, libsecp256k1's limbs, hex, base58, base64, BIP 39 words, decimal, Python ints, UTF-16 and UTF-32, and any
16-byte part of each. Needs root (CAP_SYS_PTRACE). For test keys only: the secrets pass through a file.

FILE has a line of JSON for each secret:
  {"name": "a key", "hex": "..."}                        at least 16 bytes
  {"name": "a passphrase", "text": "..."}                at least 16 bytes
  {"envelope": "hex", "passphrase": "...", "network": "regtest"}
                                                         all that is behind an envelope, down to the branch keys
Exit code: 0 nothing found, 1 found, 2 not root or wrong usage. Copies in the guarded pages of a keeper count with
--locked only; pages of memfd_secret cannot be read by anybody and are counted as unreadable.

`make memscan` in the source tree drives a whole appliance from a new key to a lock and scans it at each stage.
"""


def add_parser(commands: Any) -> None:
    """Adds `memscan` to the commands of `undercroft-appliance`."""
    parser = commands.add_parser(
        "memscan",
        help="look for secrets in the memory of processes (development tool)",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pids", nargs="*", type=int, metavar="PID", help="a process to scan")
    parser.add_argument("--secrets", metavar="FILE", help="what to look for; - is standard input")
    parser.add_argument("--children", action="store_true", help="also the processes that these started")
    parser.add_argument("--locked", action="store_true", help="copies in guarded pages count, too")
    parser.add_argument(
        "--naive",
        action="store_true",
        help="scan a signer made of the usual Python objects instead; 0 if its secrets are found, as they must be",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the command. Raises ConfigurationError (exit code 2)."""
    if missing := words_missing():
        print(f"Not looked for: {missing}", file=sys.stderr)
    if options.naive:
        if options.pids or options.secrets:
            raise ConfigurationError("--naive starts its own process and knows its secrets")
        return _naive()
    if not options.pids or not options.secrets:
        raise ConfigurationError("memscan needs --secrets FILE and a PID (or --naive); a whole appliance: make memscan")
    return _scan(options)


def _scan(options: argparse.Namespace) -> int:
    pids = with_children(options.pids) if options.children else tuple(options.pids)
    secrets = tuple(secret for line in _lines(options.secrets) for secret in _secrets(line))
    if not secrets:
        raise ConfigurationError(f"no secret stands in {options.secrets}")
    found = Search(secrets).processes(pids)
    print(f"{HEAD}\n{row('now', len(pids), found)}")
    for line in named(found.copies):
        print(line)
    for pid, region in found.unreadable:
        print(f"  unreadable: process {pid}, {region}")
    counted = found.copies if options.locked else found.outside
    return EXIT_FOUND if counted else EXIT_NONE


def _naive() -> int:
    print(HEAD)
    stages = []
    for stage, found in scans_of_naive_signer(_NAIVE_SIGNATURES):
        print(row(stage, 1, found), flush=True)
        for line in named(found.copies):
            print(line)
        stages.append(bool(found.outside))
    if all(stages):
        print("The naive signer's secrets are found at every stage, also after it dropped them.")
        return EXIT_NONE
    print("The naive signer's secrets are not found: this scan does not work.")
    return EXIT_FOUND


def _lines(path: str) -> Iterator[dict[str, str]]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        for line in filter(str.strip, text.splitlines()):
            yield json.loads(line)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError):
        # Without the line itself, which holds a secret.
        raise ConfigurationError(f"{path}: a line is not JSON in UTF-8") from None


def _secrets(line: dict[str, str]) -> tuple[Secret, ...]:
    try:
        match line:
            case {"name": name, "hex": digits}:
                return (Secret(name, bytes.fromhex(digits)),)
            case {"name": name, "text": text}:
                return (Secret.of_text(name, text),)
            case {"envelope": digits, "passphrase": passphrase, "network": network}:
                envelope = Envelope.from_bytes(bytes.fromhex(digits))
                return KeySecrets(envelope, passphrase, Network(network)).everything([envelope])
    except (ValueError, TypeError, AttributeError, ProtocolError):
        raise ConfigurationError("a line of the secrets' file has a value of the wrong form") from None
    raise ConfigurationError("a line of the secrets' file has neither hex, text nor an envelope with its passphrase")
