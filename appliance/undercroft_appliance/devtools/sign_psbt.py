"""`undercroft-appliance sign-psbt`: one PSBT in, one PSBT with our signatures out, by the appliance's own stages.

For benchmarks and for comparison with other signers: *prove*, with a policy *judge* (empty ledger, time of this
machine), *sign* in guarded memory, *verify*. Nobody is asked: what would be held is not signed. Binary gives binary,
base 64 gives base 64 in one line.
"""

from __future__ import annotations

import argparse
import base64
import sys
import time

from undercroft_appliance.commands import EXIT_HELD, EXIT_OK, EXIT_REFUSED, Commands
from undercroft_appliance.commands.check import add_rules
from undercroft_appliance.commands.inputs import KnownQuorum, read_document, read_message, read_policy, read_quorum
from undercroft_appliance.commands.standing import clean_standing
from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.bounds import check_psbt_size
from undercroft_appliance.keeper.judge import HOLD, SIGN, Judgement, judge_transaction
from undercroft_appliance.keeper.psbt_door import DEFAULT_CHANGE_GAP, prove_psbt
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_appliance.keeper.sign import sign
from undercroft_appliance.keeper.verify import verify
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import Envelope

from .keyring import KDF, KDF_HELP, DevelopmentKeyring, opened_keyring

_NO_CHANGE_SIGNED = -1


def add_parser(commands: Commands) -> None:
    """Add `sign-psbt` to the command line."""
    parser = commands.add_parser("sign-psbt", help="(development) sign a PSBT with the key in an envelope")
    parser.add_argument("--envelope", required=True, metavar="FILE", help="the envelope (canonical CBOR)")
    add_rules(parser)
    parser.add_argument("--passphrase-fd", type=int, metavar="N",
                        help="read the passphrase from this descriptor (default: the terminal)")  # fmt: skip
    parser.add_argument("--kdf", default="production", choices=sorted(KDF), help=KDF_HELP)
    parser.add_argument("file", metavar="FILE", help="a PSBT (binary or base 64); - for standard input")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the signed PSBT to stdout; 0: signed, 6: would be held, 5: refused, both with the reason on stderr.

    Raises ConfigurationError, EnvelopeError, PassphraseError, WrongPassphraseError, SigningError.
    """
    known = read_quorum(options.quorum, options.network)
    policy = None if options.policy is None else read_policy(options.policy, known)
    envelope = _envelope(options.envelope)
    book = _book(known, envelope)
    try:
        data, is_base64 = read_message(options.file)
        check_psbt_size(data)
        gap = DEFAULT_CHANGE_GAP if policy is None else policy.change_gap
        door = prove_psbt(data, book, change_gap=gap, change_signed=_NO_CHANGE_SIGNED, height=options.height)
    except Refusal as refusal:
        print(f"refuse {refusal}", file=sys.stderr)
        return EXIT_REFUSED
    if policy is not None:
        standing = clean_standing(int(time.time()), options.height)
        judgement = judge_transaction(door.proven, policy, standing, approved=False).judgements[0]
        if judgement.action != SIGN:
            return _not_signed(judgement)
    with opened_keyring(known.network, options.kdf) as keys:
        keys.take_passphrase(options.passphrase_fd, new=False)
        _open(keys, envelope, known)
        signed = verify(sign(door.proven, keys), book)
    _write(door.with_signatures(signed.signatures), is_base64=is_base64)
    return EXIT_OK


def _envelope(path: str) -> Envelope:
    try:
        return Envelope.from_bytes(read_document(path, "envelope"))
    except ProtocolError as error:
        raise ConfigurationError(f"the envelope cannot be used: {error}") from error


def _book(known: KnownQuorum, envelope: Envelope) -> AddressBook:
    try:
        return AddressBook(known.descriptor, ExtendedPublicKey.from_bytes(envelope.xpub, known.network))
    except ProtocolError as error:
        raise ConfigurationError(f"the envelope's key is none of this quorum's: {error}") from error


def _open(keys: DevelopmentKeyring, envelope: Envelope, known: KnownQuorum) -> None:
    if envelope.quorum_id is None:
        keys.open_draft(envelope)
    elif known.quorum is None:
        raise ConfigurationError("the envelope is bound to a quorum: give the quorum's file")
    else:
        keys.unlock(envelope, known.id)


def _not_signed(judgement: Judgement) -> int:
    for line in judgement.lines:
        print(line, file=sys.stderr)
    return EXIT_HELD if judgement.action == HOLD else EXIT_REFUSED


def _write(data: bytes, *, is_base64: bool) -> None:
    sys.stdout.buffer.write(base64.b64encode(data) + b"\n" if is_base64 else data)
    sys.stdout.buffer.flush()
