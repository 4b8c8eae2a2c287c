"""Past batches judged again: what an appliance would have said of them under a draft of a policy.

The appliance's own judging code says it, run as a program of its own: the host never imports that code, and has no
second copy of the rules that could say something else.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.messages import SIGNED, BatchRequest, Policy, Quorum

from ..custody.policy_chain import PolicyChain
from ..errors import Failure, IntegrityAlarm, ReplayMissing
from ..store.tables import Batch, BatchSend, Payment, PaymentVerdict
from .batches import payments_of

_PROGRAM: Final = "undercroft_appliance"
_SECONDS: Final = 600

Judge: TypeAlias = Callable[[Quorum, Sequence[Policy], str], Mapping[str, Any]]
"""From a quorum, policies and records (JSON lines) to what `undercroft-appliance replay` answers."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a policy says of a transaction: ``sign``, ``hold`` or ``refuse``, the exact code, the numbers compared."""

    verdict: str
    code: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """One transaction of a past batch (seconds since 1970, sats): under the policy of that time, and under the draft.

    ``txid`` is None for a batch that is refused as a whole.
    """

    time: int
    batch: str
    txid: str | None
    leaves_sats: int | None
    was_signed: bool
    policy_version: int
    then: Opinion
    draft: Opinion

    @property
    def changes(self) -> bool:
        """Whether the draft says another word."""
        return self.then.verdict != self.draft.verdict


@dataclass(frozen=True, slots=True)
class _Past:
    time: int
    activation_id: bytes | None
    batch: BatchRequest
    signed: tuple[str, ...]

    @property
    def line(self) -> str:
        """As `undercroft-appliance replay` reads it."""
        return json.dumps(
            {
                "time": self.time,
                "activation": None if self.activation_id is None else self.activation_id.hex(),
                "batch": base64.b64encode(self.batch.to_bytes()).decode(),
                "signed": list(self.signed),
            }
        )


def replay(session: Session, quorum: Quorum, draft: Policy, *, since: int, now: int, judge: Judge) -> list[Replayed]:
    """All that was sent since then (seconds since 1970), oldest first, each transaction once.

    It is seen from the appliance that was sent the most. Raises ReplayMissing where the appliance's code is not
    installed, Failure when it fails, IntegrityAlarm for a batch under a policy that is unknown here.
    """
    past = _past(session, quorum, since)
    if not past:
        return []
    chain = PolicyChain.load(session, quorum, now)
    policies: dict[bytes, Policy] = {}
    for one in past:
        known = chain.find(one.batch.policy_hash)
        if known is None:
            raise IntegrityAlarm(f"batch {one.batch.batch_id.hex()} was sent under a policy that is unknown here")
        policies[known.policy.hash] = known.policy
    places = {policy_hash: at for at, policy_hash in enumerate(policies)}
    answer = judge(quorum, [*policies.values(), draft], "".join(f"{one.line}\n" for one in past))
    found: list[Replayed] = []
    seen: set[str] = set()
    for row in answer["transactions"]:
        one = past[row["batch"] - 1]
        # Sent again, in the same batch or in another one, it is the same payment.
        if row["txid"] in seen:
            continue
        seen.update(() if row["txid"] is None else (row["txid"],))
        opinions = [Opinion(each["verdict"], each["code"], each["detail"]) for each in row["verdicts"]]
        found.append(
            Replayed(
                time=one.time,
                batch=one.batch.batch_id.hex(),
                txid=row["txid"],
                leaves_sats=row["leaves_sats"],
                was_signed=row["was_signed"],
                policy_version=policies[one.batch.policy_hash].version,
                then=opinions[places[one.batch.policy_hash]],
                draft=opinions[-1],
            )
        )
    return found


def judge_by_appliance(quorum: Quorum, policies: Sequence[Policy], records: str) -> Mapping[str, Any]:
    """Run `undercroft-appliance replay`; raises ReplayMissing, Failure."""
    if importlib.util.find_spec(_PROGRAM) is None:
        raise ReplayMissing
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "quorum").write_bytes(quorum.to_bytes())
        arguments = ["--quorum", str(folder / "quorum")]
        for at, policy in enumerate(policies):
            path = folder / f"policy-{at}"
            path.write_bytes(policy.to_bytes())
            arguments += ["--policy", str(path)]
        # -P: nothing that lies in the working folder is taken for the appliance's code.
        command = [sys.executable, "-P", "-m", f"{_PROGRAM}.main", "replay", *arguments, "-"]
        try:
            done = subprocess.run(command, input=records, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"the replay took longer than {_SECONDS} s", hint="replay less: --since DATE") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Failure(f"the replay failed: {said[-1] if said else f'exit code {done.returncode}'}")
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


def _past(session: Session, quorum: Quorum, since: int) -> list[_Past]:
    query = select(BatchSend).where(BatchSend.sent >= since).order_by(BatchSend.sent, BatchSend.batch)
    sends: dict[bytes, list[BatchSend]] = {}
    for send in session.scalars(query):
        sends.setdefault(send.batch, []).append(send)
    own = {
        batch_id: payments
        for batch_id in sends
        if (payments := payments_of(session, batch_id)) and payments[0].quorum_id == quorum.id
    }
    counted = Counter(name for batch_id in own for name in {send.appliance for send in sends[batch_id]})
    # One appliance's windows and activations are what an appliance knows; the one that knows most tells most.
    name = max(sorted(counted), key=counted.__getitem__, default="")
    reached = {
        payment.id
        for batch_id, payments in own.items()
        if any(send.appliance == name for send in sends[batch_id])
        for payment in payments
    }
    # Appliances with different policies get one payment in different batches: it is judged once, as that one got it.
    chosen = [
        send
        for batch_id, payments in own.items()
        if (send := _seen_from(name, sends[batch_id])).appliance == name
        or not reached.issuperset(payment.id for payment in payments)
    ]
    found = []
    activation_id: bytes | None = None
    for send in sorted(chosen, key=lambda send: (send.sent, send.batch)):
        activation_id = send.activation_id if send.appliance == name else activation_id
        batch = BatchRequest.from_bytes(session.get_one(Batch, send.batch).body)
        signed = tuple(txid_to_hex(one.txid) for one in own[send.batch] if _was_signed(session, one))
        found.append(_Past(send.sent, activation_id, batch, signed))
    return found


def _seen_from(name: str, sends: Sequence[BatchSend]) -> BatchSend:
    return next((send for send in sends if send.appliance == name), sends[0])


def _was_signed(session: Session, payment: Payment) -> bool:
    said = select(PaymentVerdict.verdict).where(PaymentVerdict.payment == payment.id)
    return payment.signed is not None or SIGNED in session.scalars(said).all()
