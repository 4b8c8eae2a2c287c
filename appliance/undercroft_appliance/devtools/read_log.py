"""`undercroft-appliance read-log`: a log that was taken out of the host, verified, with the exact facts in it.

For the owner, on a machine of their own: chain and seals are verified, and the envelope with the owner's passphrase
gives the key that opens what no host could read. `undercroft appliance log NAME --out FILE` writes such a file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from undercroft_appliance.commands import EXIT_FAILURE, EXIT_OK, Commands
from undercroft_appliance.commands.inputs import read_document
from undercroft_appliance.errors import ConfigurationError, LogFileError, LogSealError
from undercroft_appliance.keeper.text import moment
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import (
    FIRST_HEAD,
    LOG_START,
    Envelope,
    ExactFacts,
    LogEntry,
    LogFile,
    LogGap,
    LogSeal,
    follow,
    open_statement,
)

from .keyring import KDF, KDF_HELP, DevelopmentKeyring, opened_keyring

_MOST_FILE_BYTES: Final = 1024 * 1024 * 1024


def add_parser(commands: Commands) -> None:
    """Add `read-log` to the command line."""
    parser = commands.add_parser("read-log", help="(development) verify a log file and open its sealed facts")
    parser.add_argument("--envelope", required=True, metavar="FILE", help="the owner's envelope (canonical CBOR)")
    parser.add_argument("--passphrase-fd", type=int, metavar="N",
                        help="read the passphrase from this descriptor (default: the terminal)")  # fmt: skip
    parser.add_argument("--kdf", default="production", choices=sorted(KDF), help=KDF_HELP)
    parser.add_argument("--json", action="store_true", help="one JSON value instead of text")
    parser.add_argument("log", metavar="LOGFILE", help="the log, as the host wrote it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the log; 0: whole, 1: entries are missing, which stderr names.

    Raises ConfigurationError, LogFileError, LogSealError, EnvelopeError, PassphraseError, WrongPassphraseError.
    """
    file = read_log(options.log)
    try:
        envelope = Envelope.from_bytes(read_document(options.envelope, "envelope"))
    except ProtocolError as error:
        raise ConfigurationError(f"the envelope cannot be used: {error}") from error
    # Attack: another appliance's log, which has nothing to hide.
    if envelope.identity != file.identity:
        raise LogFileError("it is by another key than the envelope's")
    gaps, seals = verify_log(file)
    network = Network.MAINNET if envelope.xpub[:4] == Network.MAINNET.xpub_version else Network.REGTEST
    with opened_keyring(network, options.kdf) as keys:
        keys.take_passphrase(options.passphrase_fd, new=False)
        if envelope.quorum_id is None:
            keys.open_draft(envelope)
        else:
            keys.unlock(envelope, envelope.quorum_id)
        opened = [(entry, exact_facts(keys, entry)) for entry in file.entries]
    if options.json:
        print(json.dumps(_as_json(file, opened, gaps, seals), indent=2))
    else:
        print("\n".join(_as_text(opened)))
    for gap in gaps:
        print(f"entries {gap.first} to {gap.last} are missing", file=sys.stderr)
    return EXIT_FAILURE if gaps else EXIT_OK


def read_log(path: str) -> LogFile:
    """The log in a file; raises ConfigurationError for one that cannot be read, LogFileError for one that is none."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the log cannot be read: {error}") from error
    if len(data) > _MOST_FILE_BYTES:
        raise ConfigurationError(f"the log is larger than {_MOST_FILE_BYTES} bytes")
    try:
        return LogFile.from_bytes(data)
    except ProtocolError as error:
        raise LogFileError(str(error)) from error


def verify_log(file: LogFile) -> tuple[tuple[LogGap, ...], tuple[LogSeal, ...]]:
    """What is missing in a log, and its seals; raises LogFileError for anything that was changed."""
    try:
        end, gaps = follow(file.entries, LOG_START)
        seals = tuple(open_statement(LogSeal, raw, (file.identity,))[0] for raw in file.seals)
    except ProtocolError as error:
        raise LogFileError(str(error)) from error
    ends = {0: FIRST_HEAD} | {entry.number + 1: entry.head for entry in file.entries}
    for seal in seals:
        if ends.get(seal.length) != seal.head:
            raise LogFileError(f"a seal says that entry {seal.length - 1} is another one")
    # Attack: a host makes up what follows the last seal, or cuts off a part together with its seal.
    for length in (end.length, *(gap.first for gap in gaps)):
        if length and length not in {seal.length for seal in seals}:
            raise LogFileError(f"no seal says that entry {length - 1} ever was")
    return gaps, seals


def exact_facts(keys: DevelopmentKeyring, entry: LogEntry) -> tuple[str, ...]:
    """What only the owner can read in an entry; raises LogSealError."""
    if entry.sealed is None:
        return ()
    try:
        return ExactFacts.from_padded(keys.open_log(entry.sealed, entry.associated_data())).lines
    except (ProtocolError, LogSealError) as error:
        raise LogSealError(f"entry {entry.number}: {error}") from error


def _as_text(opened: Sequence[tuple[LogEntry, tuple[str, ...]]]) -> list[str]:
    lines = []
    for entry, exact in opened:
        lines.append(f"{entry.number} {moment(entry.time) if entry.time else 'time unknown'} {entry.event}")
        lines.extend(f"  {line}" for line in (*entry.facts, *exact))
    return lines


def _as_json(
    file: LogFile,
    opened: Sequence[tuple[LogEntry, tuple[str, ...]]],
    gaps: Sequence[LogGap],
    seals: Sequence[LogSeal],
) -> dict[str, Any]:
    return {
        "identity": file.identity.hex(),
        "whole": not gaps,
        "missing": [{"first": gap.first, "last": gap.last} for gap in gaps],
        "seals": [{"length": seal.length, "time": seal.time} for seal in seals],
        "entries": [
            {
                "number": entry.number,
                "time": entry.time or None,
                "event": entry.event,
                "facts": list(entry.facts),
                "exact": list(exact),
            }
            for entry, exact in opened
        ],
    }
