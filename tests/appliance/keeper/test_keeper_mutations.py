"""Good batches, broken byte by byte under a good signature: a Refusal or the same meaning, and nothing else."""

from __future__ import annotations

import random

from appliance.builders import BOOK, DESCRIPTOR, HEIGHT, POLICY, QUORUM, UTC, VAULT, good_batch, public
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import SIGN, Standing, judge
from undercroft_appliance.keeper.ledger import Ledger
from undercroft_appliance.keeper.parse import Expected, parse
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import ProvenTransaction
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol import cose
from undercroft_protocol.messages import BatchRequest, RequestHeader, seal_request

ACTIVATION = b"\x05" * 16
EXPECTED = Expected((public(VAULT),), QUORUM.id, ACTIVATION, 0, UTC)
ROUNDS = 1500


def by_vault(data: bytes) -> bytes:
    return bytes(VAULT.sign(data).signature)


def signed_by(data: bytes) -> tuple[ProvenTransaction, ...]:
    """What the stages would sign of these bytes; raises Refusal."""
    body = parse(data, EXPECTED).body
    if not isinstance(body, BatchRequest):
        return ()
    proven = prove(body, QUORUM, BOOK, change_gap=POLICY.change_gap, change_signed=-1)
    standing = Standing(1000.0, UTC, Ledger(float("-inf")), History(), HEIGHT)
    judged = judge(proven, POLICY, standing)
    return tuple(judgement.proven for judgement in judged.judgements if judgement.action == SIGN)


def test_attack_a_host_with_the_vault_key_breaks_batches_byte_by_byte() -> None:
    header = RequestHeader(QUORUM.id, ACTIVATION, 1, UTC + 60)
    good = seal_request(header, good_batch(2), public(VAULT), by_vault)
    payload = cose.read(good).payload
    kind = cose.read(good).content_type
    cleared = {payee for transaction in signed_by(good) for payee in transaction.payees}
    dice = random.Random(2026)
    refused = 0
    for _ in range(ROUNDS):
        broken = bytearray(payload)
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(broken))
            match dice.randrange(3):
                case 0:
                    broken[at] = dice.randrange(256)
                case 1:
                    del broken[at]
                case _:
                    broken.insert(at, dice.randrange(256))
        try:
            signed = signed_by(cose.sign(kind, bytes(broken), public(VAULT), by_vault))
        except Refusal:
            refused += 1
            continue
        for transaction in signed:
            # Whatever else the host may vary, money goes to cleared payees, back to the quorum, or is a bounded fee.
            assert set(transaction.payees) <= cleared
            assert transaction.fee_sats <= POLICY.most_fee_sats
            assert all(one.script == DESCRIPTOR.script(1, one.index) for one in transaction.change)
    assert refused > ROUNDS // 2
