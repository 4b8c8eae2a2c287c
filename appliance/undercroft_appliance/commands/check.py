"""`undercroft-appliance check`: what the appliance would answer to a PSBT or a batch, told without any key.

It runs the appliance's own stages, as far as they need no key: *parse* and *prove*, and with a policy *judge* too, with
an empty and known ledger and the time of this machine. The answer is one JSON value on stdout:

    {"verdict": "sign|hold|refuse", "code": …, "detail": …, "fee_sats": …, "feerate": …,
     "outputs": [{"kind": "change|own|payee", "amount_sats": …, "address": …}]}

`code` is null for `sign`, `feerate` in whole sats per 1000 virtual bytes, `address` null for a script that has none.
What is refused before it is proved has null numbers and no outputs. A batch has the strictest verdict and the totals,
and "transactions", each with its own answer and txid.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from typing import Final

from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.bounds import check_coins, check_psbt_size
from undercroft_appliance.keeper.judge import judge, judge_transaction
from undercroft_appliance.keeper.parse import check_expiry, read_request
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import ProvenTransaction
from undercroft_appliance.keeper.psbt_door import DEFAULT_CHANGE_GAP, prove_psbt
from undercroft_appliance.keeper.refusals import COARSE_STATE, MALFORMED_MESSAGE, OTHER_QUORUM, Refusal, RefusalCode
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import BatchRequest, Policy, Quorum

from . import Commands, answers
from .inputs import KnownQuorum, read_message, read_policy, read_quorum
from .standing import clean_standing

QUORUM_NEEDED: Final = RefusalCode(
    "quorum-needed",
    COARSE_STATE,
    "A batch is proved by the keys of vault and risk service, which a descriptor lacks. Give the quorum's file.",
)
"""This command's own: an appliance always has the whole quorum."""
_BATCH_MAP: Final = 0xA5
_NO_CHANGE_SIGNED: Final = -1


def add_parser(commands: Commands) -> None:
    """Add `check` to the command line."""
    parser = commands.add_parser("check", help="say what the appliance would answer to a PSBT or a batch")
    add_rules(parser)
    parser.add_argument("file", metavar="FILE", help="a PSBT (binary or base 64) or a batch; - for standard input")
    parser.set_defaults(run=run)


def add_rules(parser: argparse.ArgumentParser) -> None:
    """The options that say whose coins are meant, and by which rules."""
    parser.add_argument("--quorum", required=True, metavar="FILE|DESCRIPTOR",
                        help="the quorum's file, or its descriptor wsh(sortedmulti(...))")  # fmt: skip
    parser.add_argument("--policy", metavar="FILE", help="judge by this policy too (default: only prove)")
    parser.add_argument("--height", type=block_height, metavar="N",
                        help="height of the chain, as the appliance last heard it")  # fmt: skip
    parser.add_argument("--network", choices=[network.value for network in Network],
                        help="which network a descriptor with tpub keys is for (default: regtest)")  # fmt: skip


def block_height(text: str) -> int:
    """A height of the chain; raises ValueError."""
    height = int(text)
    if not 0 <= height <= 0xFFFFFFFF:
        raise ValueError
    return height


def run(options: argparse.Namespace) -> int:
    """Print the answer; 0: would be signed, 6: held, 5: refused. Raises ConfigurationError."""
    known = read_quorum(options.quorum, options.network)
    policy = None if options.policy is None else read_policy(options.policy, known)
    try:
        data, _ = read_message(options.file)
        answer = Checker(known, policy, options.height).answer(data)
    except Refusal as refusal:
        answer = answers.refused(refusal)
    print(json.dumps(answer, indent=2))
    return answers.EXIT_CODES[answer["verdict"]]


@dataclass(frozen=True, slots=True)
class Checker:
    """Asks the appliance's stages; ``policy`` None: only whether it can be proved."""

    known: KnownQuorum
    policy: Policy | None
    height: int | None

    def answer(self, data: bytes) -> answers.Answer:
        """The answer to these bytes, whatever they are. Raises Refusal for what cannot be proved."""
        if data.startswith(PSBT_MAGIC):
            return self._of_psbt(data)
        batch = self._batch(data)
        return self._of_batch(batch, self._quorum())

    @property
    def _change_gap(self) -> int:
        return DEFAULT_CHANGE_GAP if self.policy is None else self.policy.change_gap

    def _quorum(self) -> Quorum:
        if self.known.quorum is None:
            raise Refusal(QUORUM_NEEDED)
        return self.known.quorum

    def _of_psbt(self, data: bytes) -> answers.Answer:
        check_psbt_size(data)
        door = prove_psbt(
            data,
            AddressBook(self.known.descriptor, None),
            change_gap=self._change_gap,
            change_signed=_NO_CHANGE_SIGNED,
            height=self.height,
        )
        return self._of_transaction(door.proven)

    def _of_transaction(self, proven: ProvenTransaction) -> answers.Answer:
        if self.policy is None:
            return answers.proved(proven, self.known.network)
        standing = clean_standing(int(time.time()), self.height)
        judgement = judge_transaction(proven, self.policy, standing, approved=False).judgements[0]
        return answers.judged(judgement, self.known.network)

    def _batch(self, data: bytes) -> BatchRequest:
        if data[:1] == bytes([_BATCH_MAP]):
            try:
                return BatchRequest.from_bytes(data)
            except ProtocolError as error:
                raise Refusal(MALFORMED_MESSAGE, str(error)) from error
        if self.known.quorum is None:
            message = read_request(data, None)
        else:
            quorum = self.known.quorum
            message = read_request(data, (quorum.vault_key,))
            if message.header.quorum_id != quorum.id:
                raise Refusal(OTHER_QUORUM, "the request names another quorum")
            check_expiry(message.header, int(time.time()))
        if not isinstance(message.body, BatchRequest):
            raise Refusal(MALFORMED_MESSAGE, f"{type(message.body).__name__} where a batch belongs")
        return message.body

    def _of_batch(self, batch: BatchRequest, quorum: Quorum) -> answers.Answer:
        network = self.known.network
        if self.policy is not None:
            check_coins(batch, self.policy)
        proven = prove(
            batch,
            quorum,
            AddressBook(self.known.descriptor, None),
            change_gap=self._change_gap,
            change_signed=_NO_CHANGE_SIGNED,
        )
        if self.policy is None:
            each = [answers.proved(one, network) for one in proven.transactions]
            return answers.of_batch(proven.transactions, each, network)
        try:
            judged = judge(proven, self.policy, clean_standing(int(time.time()), self.height))
        except Refusal as refusal:
            return answers.refused_after_proof(refusal, proven.transactions, network)
        each = [answers.judged(judgement, network) for judgement in judged.judgements]
        return answers.of_batch(proven.transactions, each, network)
