"""One refusal of each family at every start, by the very stages that will judge: who lost a check must not run.

Each bad request is a good one with one mutation, and the good one passes: otherwise a refusal would prove nothing. It
runs before any secret exists, on keys that everybody knows (`selftest_examples`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from undercroft_appliance.errors import ApplianceError, SelfTestError
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import ApprovedPolicy

from . import batches, policies, refusals
from . import selftest_examples as examples
from .judge import SIGN
from .keys import Keys
from .refusals import Refusal, RefusalCode
from .selftest_appliance import Appliance, unconnected


@dataclass(frozen=True, slots=True)
class Bad:
    """A bad request and the exact code that it must be refused with. ``act`` raises that Refusal."""

    code: RefusalCode
    act: Callable[[], object]


def check_refusals(keys: Keys) -> None:
    """Raises SelfTestError when a good request does not pass, or a bad one is not refused with its code.

    ``keys`` is the keyring as it was made: locked, and not touched.
    """
    with unconnected(keys) as appliance:
        try:
            _pass_good_ones(appliance)
        except (Refusal, ApplianceError, ProtocolError) as error:
            raise SelfTestError(f"a good request is refused: {error}") from error
    for stage in STAGES:
        with unconnected(keys) as appliance:
            for bad in stage(appliance):
                _expect(bad)


def _expect(bad: Bad) -> None:
    try:
        bad.act()
    except Refusal as refusal:
        if refusal.code is bad.code:
            return
        raise SelfTestError(f"{bad.code.name} is refused as {refusal.code.name}") from refusal
    except Exception as error:
        raise SelfTestError(f"{bad.code.name} ends in {type(error).__name__}") from error
    raise SelfTestError(f"{bad.code.name} is not refused")


def _pass_good_ones(appliance: Appliance) -> None:
    good = examples.batch()
    appliance.parse(examples.request(good))
    appliance.door(examples.psbt())
    if appliance.judge(good) != SIGN:
        raise SelfTestError("a good batch is not to be signed")
    _authorise(examples.approved(examples.ALICE, examples.BOB))


def _messages(appliance: Appliance) -> Iterator[Bad]:
    good = examples.batch()
    sealed = examples.request(good)
    parse = appliance.parse
    yield Bad(refusals.MALFORMED_MESSAGE, lambda: parse(sealed + b"\0"))
    yield Bad(refusals.UNTRUSTED_SIGNER, lambda: parse(examples.request(good, examples.STRANGER)))
    yield Bad(refusals.BAD_SIGNATURE, lambda: parse(sealed[:-1] + bytes([sealed[-1] ^ 1])))
    yield Bad(refusals.OTHER_QUORUM, lambda: parse(examples.request(good, quorum_id=bytes(32))))
    yield Bad(refusals.OTHER_ACTIVATION, lambda: parse(examples.request(good, activation_id=bytes(16))))
    yield Bad(refusals.STALE_SEQUENCE, lambda: parse(examples.request(good, sequence=6)))
    yield Bad(refusals.REQUEST_EXPIRED, lambda: parse(examples.request(good, expires=examples.UTC - 1)))


def _proofs(appliance: Appliance) -> Iterator[Bad]:
    payee, change, batch, prove = examples.payee, examples.change, examples.batch, appliance.prove
    damaged = examples.previous(examples.COIN_SCRIPT)[:-1]
    foreign = examples.previous(appliance.book.at(0, 1).script)
    stranger, elsewhere = payee(by=examples.STRANGER), payee(quorum_id=bytes(32))
    yield Bad(refusals.PREVIOUS_MALFORMED, lambda: prove(batch(previous=(damaged,))))
    yield Bad(refusals.FOREIGN_COIN, lambda: prove(batch(previous=(foreign,))))
    yield Bad(refusals.OUTPOINT_REPEATED, lambda: prove(batch(inputs=2)))
    yield Bad(refusals.CLEARANCE_UNTRUSTED, lambda: prove(batch(stranger, change())))
    yield Bad(refusals.CLEARANCE_OTHER_QUORUM, lambda: prove(batch(elsewhere, change())))
    yield Bad(refusals.WITHDRAWAL_REPEATED, lambda: prove(batch(payee(amount_sats=5_000), payee(amount_sats=5_000))))
    yield Bad(refusals.CHANGE_INDEX, lambda: prove(batch(payee(), change(examples.POLICY.change_gap + 1))))
    yield Bad(refusals.DUST, lambda: prove(batch(payee(amount_sats=1), change())))
    yield Bad(refusals.OUTPUTS_EXCEED_INPUTS, lambda: prove(batch(payee(), coin_sats=examples.PAID_SATS - 1)))
    one = batch().transactions[0]
    final, later = dataclasses.replace(one, sequence=0xFFFFFFFF), dataclasses.replace(one, locktime=examples.HEIGHT + 2)
    yield Bad(refusals.SEQUENCE_NUMBER, lambda: prove(batch(transactions=(final,))))
    yield Bad(refusals.LOCKTIME, lambda: prove(batch(transactions=(later,))))


def _psbts(appliance: Appliance) -> Iterator[Bad]:
    good, psbt, door = examples.psbt(), examples.psbt, appliance.door
    stolen = good.replace(appliance.book.at(1, 0).script, b"\x00\x20" + b"\x44" * 32)
    burnt, far = b"\x6a\x01\x00", examples.POLICY.change_gap + 1
    yield Bad(refusals.PSBT_MALFORMED, lambda: door(good + b"\0"))
    yield Bad(refusals.OUTPOINT_REPEATED, lambda: door(psbt(inputs=2)))
    yield Bad(refusals.CHANGE_FRAUD, lambda: door(stolen))
    yield Bad(refusals.CHANGE_INDEX, lambda: door(psbt(change_index=far)))
    yield Bad(refusals.OUTPUT_TYPE, lambda: door(psbt(payee_script=burnt)))


def _judgements(appliance: Appliance) -> Iterator[Bad]:
    payee, batch, judge, policy = examples.payee, examples.batch, appliance.judge, examples.POLICY
    most, fee = policy.refuse_above_sats, examples.FEE_SATS
    rest = examples.change(amount_sats=examples.COIN_SATS - examples.PAID_SATS - policy.most_fee_sats - 1)
    unknown = dataclasses.replace(policy, hold_above_sats=1, refuse_above_sats=2)
    yield Bad(refusals.NO_POLICY, lambda: judge(batch(), None))
    yield Bad(refusals.OTHER_POLICY, lambda: judge(batch(), unknown))
    yield Bad(refusals.HEIGHT_BACK, lambda: judge(batch(height=examples.HEIGHT - 1)))
    yield Bad(refusals.PAYEE_TYPE, lambda: judge(batch(payee(script=b"\x51\x20" + b"\x44" * 32), examples.change())))
    yield Bad(refusals.CLEARANCE_EXPIRED, lambda: judge(batch(payee(expires=examples.UTC - 1), examples.change())))
    yield Bad(refusals.FEE_LIMIT, lambda: judge(batch(payee(), rest)))
    yield Bad(refusals.TRANSACTION_LIMIT, lambda: judge(batch(payee(amount_sats=most), coin_sats=most + fee)))
    yield Bad(refusals.WINDOW_LIMIT, lambda: judge(batch(), spent_sats=policy.windows[0].refuse_above_sats))
    other = batch(payee("w-2", examples.PAID_SATS - 1), examples.change())
    yield Bad(refusals.OUTPOINT_SIGNED, lambda: judge(other, signed=batch()))


def _states(appliance: Appliance) -> Iterator[Bad]:
    yield Bad(refusals.NOT_ARMED, lambda: batches.process(appliance.parts, examples.batch()))
    yield Bad(refusals.BUSY, appliance.interrupt)
    yield Bad(refusals.OWNER_TIMEOUT, appliance.ask)


def _policies(_: Appliance) -> Iterator[Bad]:
    first = examples.POLICY
    looser = dataclasses.replace(first, version=2, replaces=first.hash, most_inputs=first.most_inputs + 1)
    both = examples.approved(examples.ALICE, examples.BOB)
    alone = examples.approved(examples.ALICE, examples.ALICE)
    young = examples.approved(examples.ALICE, examples.BOB, policy=looser)
    foreign = examples.approved(examples.ALICE, examples.BOB, policy=dataclasses.replace(first, quorum_id=bytes(32)))
    newer = policies.PolicyMark(3, bytes(32))
    yield Bad(refusals.APPROVALS_INSUFFICIENT, lambda: _authorise(alone))
    yield Bad(refusals.POLICY_TOO_YOUNG, lambda: _authorise(young, both))
    yield Bad(refusals.POLICY_OTHER_QUORUM, lambda: _authorise(foreign))
    yield Bad(refusals.POLICY_OLDER, lambda: _authorise(both, mark=newer))


def _authorise(
    approved: ApprovedPolicy, *lineage: ApprovedPolicy, mark: policies.PolicyMark | None = None
) -> policies.Authority:
    return policies.authorise(examples.QUORUM, approved, lineage, examples.UTC + 3600, mark)


def _grants(appliance: Appliance) -> Iterator[Bad]:
    appliance.unlock()
    arm, grant = appliance.arm, examples.grant
    yield Bad(refusals.OWNER_DECLINED, lambda: appliance.decline(grant()))
    appliance.answer_other()
    yield Bad(refusals.GRANT_UNTRUSTED, lambda: arm(grant(examples.STRANGER)))
    yield Bad(refusals.GRANT_SAME_OWNER, lambda: arm(grant(examples.ALICE)))
    yield Bad(refusals.GRANT_SAME_SITE, lambda: arm(grant(site=examples.owner("alice").site)))
    yield Bad(refusals.GRANT_OTHER_POLICY, lambda: arm(grant(policy_hash=bytes(32))))
    yield Bad(refusals.GRANT_OTHER_FIRMWARE, lambda: arm(grant(firmware_hash=bytes(32))))
    yield Bad(refusals.GRANT_OTHER_GRANTEE, lambda: arm(grant(grantee=examples.public(examples.CAROL))))
    yield Bad(refusals.GRANT_OTHER_ACTIVATION, lambda: arm(grant(activation_id=bytes(16))))


STAGES: Final = (_messages, _proofs, _psbts, _judgements, _states, _policies, _grants)
"""Each gets an appliance of its own, on whose state its cases build one upon the other."""
