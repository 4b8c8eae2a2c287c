"""The state machine: empty, sealed, unlocked, armed, and the way back.

An activation id is drawn at start and at every lock; a keeper process that held a secret ends with it, and the next
one draws its own. What is remembered over a lock, and handed from process to process, is no secret: the ledger of each
quorum (a lock must not begin a window anew), the newest policy that was in force for it, and which quorum was frozen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.messages import ARMED, EMPTY, SEALED, UNLOCKED, Owner, Policy, Quorum

from .addresses import AddressBook
from .clock import Clock
from .handover import LedgerMemory, QuorumMemory
from .history import History
from .ledger import Ledger
from .parse import Expected
from .policies import PolicyMark
from .proven import ProvenTransaction
from .refusals import ALREADY_ARMED, ALREADY_UNLOCKED, NOT_ACTIVATED, NOT_ARMED, NOT_UNLOCKED, SECOND_KEY, Refusal
from .signed import HistorySnapshot

ACTIVATION_ID_BYTES: Final = 16
CEREMONY_SECONDS: Final = 3600
"""How long a key stays unlocked without a policy."""
MOST_REFUSALS: Final = 10


@dataclass(slots=True)
class Armed:
    """What begins with a grant. ``since`` and ``until``: monotonic seconds; ``held``: what waits for the owner."""

    until: float
    ledger: Ledger
    history: History
    held: dict[bytes, ProvenTransaction] = field(default_factory=dict)
    height: int | None = None
    refusals: int = 0
    since: float = 0.0


@dataclass(slots=True)
class Unlocked:
    """What begins with a passphrase. ``policy`` None: unlocked for the ceremony only. ``until``: monotonic seconds;
    ``since_utc``: when, by the clock that the owner confirmed."""

    quorum: Quorum
    owner: Owner
    site: str
    policy: Policy | None
    until: float
    armed: Armed | None = None
    since_utc: int | None = None
    book: AddressBook = field(init=False)

    def __post_init__(self) -> None:
        own = ExtendedPublicKey.from_bytes(self.owner.xpub, self.quorum.bitcoin_network)
        self.book = AddressBook(self.quorum.descriptor(), own)


class Session:
    """Where the appliance stands. ``random`` gives so many random bytes that need not be secret."""

    def __init__(self, clock: Clock, random: Callable[[int], bytes]) -> None:
        self.clock = clock
        self._random = random
        self.activation_id = random(ACTIVATION_ID_BYTES)
        self.last_sequence = 0
        self.last_used = clock.now()
        self.frozen: dict[bytes, str] = {}
        self.freeze_orders: dict[bytes, bytes] = {}
        """For each frozen quorum the signed order, the newest last; not there where its owner could sign none."""
        self.marks: dict[bytes, PolicyMark] = {}
        """For each quorum the newest policy that was in force here."""
        self._sealed: Quorum | None = None
        self._unlocked: Unlocked | None = None
        self._remembered: dict[bytes, Ledger] = {}
        self._histories: dict[bytes, History] = {}
        self._holders: dict[bytes, bytes] = {}

    @property
    def state(self) -> str:
        """``empty``, ``sealed``, ``unlocked`` or ``armed``."""
        if self._unlocked is not None:
            return UNLOCKED if self._unlocked.armed is None else ARMED
        return EMPTY if self._sealed is None else SEALED

    @property
    def current(self) -> Unlocked | None:
        """What is unlocked, if anything is."""
        return self._unlocked

    @property
    def armed(self) -> Armed | None:
        """What is armed, if anything is."""
        return None if self._unlocked is None else self._unlocked.armed

    @property
    def quorum(self) -> Quorum | None:
        """The quorum that is unlocked, or that its owner is being asked about."""
        return self._sealed if self._unlocked is None else self._unlocked.quorum

    @property
    def policy(self) -> Policy | None:
        """The policy that is in force."""
        return None if self._unlocked is None else self._unlocked.policy

    def expected(self) -> Expected:
        """What a request must agree with now."""
        quorum = self.quorum
        return Expected(
            None if quorum is None else (quorum.vault_key,),
            None if quorum is None else quorum.id,
            self.activation_id,
            self.last_sequence,
            self.clock.utc,
        )

    def used(self) -> None:
        """Somebody did something: idle time begins anew."""
        self.last_used = self.clock.now()

    def need_empty(self) -> None:
        """Raises Refusal when a key is unlocked."""
        if self._unlocked is not None:
            raise Refusal(ALREADY_UNLOCKED, f"state {self.state}")

    def need_unlocked(self) -> Unlocked:
        """What is unlocked; raises Refusal when nothing is."""
        if self._unlocked is None:
            raise Refusal(NOT_UNLOCKED, f"state {self.state}")
        return self._unlocked

    def need_activated(self) -> tuple[Unlocked, Policy]:
        """What is unlocked with a policy; raises Refusal when there is none."""
        current = self.need_unlocked()
        if current.policy is None:
            raise Refusal(NOT_ACTIVATED, f"state {self.state}")
        return current, current.policy

    def need_unarmed(self) -> tuple[Unlocked, Policy]:
        """What is unlocked with a policy and not armed; raises Refusal otherwise."""
        current, policy = self.need_activated()
        if current.armed is not None:
            raise Refusal(ALREADY_ARMED)
        return current, policy

    def need_armed(self) -> tuple[Unlocked, Policy, Armed]:
        """What is armed; raises Refusal when nothing is."""
        current = self._unlocked
        if current is None or current.policy is None or current.armed is None:
            raise Refusal(NOT_ARMED, f"state {self.state}")
        return current, current.policy, current.armed

    def check_holder(self, quorum_id: bytes, owner: Owner) -> None:
        """Raises Refusal when this appliance has held another owner's key of the quorum since it was switched on."""
        # Attack: one machine sees two keys of a quorum, and with them all that a signature takes (custody.md S23).
        if self._holders.get(quorum_id, owner.identity) != owner.identity:
            raise Refusal(SECOND_KEY, f"owner {owner.name}, after another owner of this quorum")

    def seal(self, quorum: Quorum) -> None:
        """empty to sealed: an envelope of this quorum is there, and its owner is being asked."""
        self.need_empty()
        self._sealed = quorum

    def unseal(self) -> None:
        """sealed to empty: nothing came of it."""
        self._sealed = None

    def unlock(self, quorum: Quorum, owner: Owner, site: str, policy: Policy | None) -> None:
        """sealed to unlocked."""
        life = CEREMONY_SECONDS if policy is None else policy.activation_seconds
        self._holders.setdefault(quorum.id, owner.identity)
        self._sealed = None
        self._unlocked = Unlocked(quorum, owner, site, policy, self.clock.now() + life, since_utc=self.clock.utc)

    def tighten(self, policy: Policy) -> None:
        """A policy that loosens nothing comes into force at once; a life that it makes shorter ends earlier."""
        current, before = self.need_activated()
        shorter = before.activation_seconds - policy.activation_seconds
        current.policy, current.until = policy, current.until - shorter
        if current.armed is not None:
            current.armed.until = min(current.armed.until, current.armed.since + policy.activation_seconds)
        self.knows_policy(policy)

    def knows_policy(self, policy: Policy) -> None:
        """This policy is in force here: from now on no older one is."""
        self.marks[policy.quorum_id] = PolicyMark.of(policy)

    def ledger(self, quorum_id: bytes) -> Ledger | None:
        """What this appliance knows of a quorum's spending, armed or not; None when it was never armed for it.

        It is as good after a lock as before: a locked appliance signs nothing.
        """
        current = self._unlocked
        if current is not None and current.armed is not None and current.quorum.id == quorum_id:
            return current.armed.ledger
        return self._remembered.get(quorum_id)

    def recall(self, quorum_id: bytes, ledger: Ledger) -> None:
        """Remember what an earlier life of this appliance sealed; what this one knows itself is newer, and stays."""
        known = self.ledger(quorum_id)
        if known is None:
            self._remembered[quorum_id] = ledger
        else:
            # Attack: a first activation without a seal, so that the total of all activations begins anew.
            total_sats = max(known.total_sats, ledger.total_sats)
            self._remembered[quorum_id] = dataclasses.replace(known, total_sats=total_sats)

    def history(self, quorum_id: bytes) -> History:
        """What this appliance has signed for a quorum since it was switched on."""
        return self._histories.setdefault(quorum_id, History())

    def arm(self, ledger: Ledger, life_seconds: int) -> None:
        """unlocked to armed, for so many seconds."""
        current, _ = self.need_unarmed()
        now = self.clock.now()
        current.armed = Armed(now + life_seconds, ledger, self.history(current.quorum.id), since=now)
        self.frozen.pop(current.quorum.id, None)
        self.freeze_orders.pop(current.quorum.id, None)

    def freeze(self, quorum_id: bytes, why: str, order: bytes | None) -> None:
        """Remember until the quorum is armed again that it was frozen, and by which signed order."""
        self.frozen[quorum_id] = why
        if order is not None:
            self.freeze_orders.pop(quorum_id, None)
            self.freeze_orders[quorum_id] = order

    def lock(self) -> None:
        """Any state to empty, with a new activation id. The keys are wiped by whoever calls this, and first."""
        if self._unlocked is not None and self._unlocked.armed is not None:
            self._remembered[self._unlocked.quorum.id] = self._unlocked.armed.ledger.disarmed()
        self._sealed = None
        self._unlocked = None
        self.activation_id = self._random(ACTIVATION_ID_BYTES)
        self.last_sequence = 0
        self.clock.forget()

    def snapshot(self) -> tuple[QuorumMemory, ...]:
        """What is remembered of each quorum, for the next keeper process. Call it when nothing is unlocked."""
        known = {*self.frozen, *self.marks, *self._remembered, *self._histories, *self._holders}
        # The newest order comes last again.
        ids = (*sorted(known - self.freeze_orders.keys()), *self.freeze_orders)
        return tuple(self._memory(quorum_id) for quorum_id in ids)

    def restore(self, memories: Iterable[QuorumMemory]) -> None:
        """Go on with what the process before remembered. Raises MessageError, CborError."""
        for one in memories:
            if one.frozen is not None:
                self.freeze(one.quorum_id, one.frozen, one.freeze_order)
            if one.policy_version is not None and one.policy_hash is not None:
                self.marks[one.quorum_id] = PolicyMark(one.policy_version, one.policy_hash)
            if one.ledger is not None:
                self._remembered[one.quorum_id] = LedgerMemory.from_bytes(one.ledger).ledger()
            if one.holder is not None:
                self._holders[one.quorum_id] = one.holder
            if one.history is not None:
                self._histories[one.quorum_id] = History.restored(HistorySnapshot.from_bytes(one.history))

    def _memory(self, quorum_id: bytes) -> QuorumMemory:
        mark, ledger = self.marks.get(quorum_id), self._remembered.get(quorum_id)
        history = self._histories.get(quorum_id)
        return QuorumMemory(
            quorum_id,
            self.frozen.get(quorum_id),
            None if mark is None else mark.version,
            None if mark is None else mark.hash,
            None if ledger is None else LedgerMemory.of(ledger).to_bytes(),
            None if history is None else history.snapshot().to_bytes(),
            self._holders.get(quorum_id),
            freeze_order=self.freeze_orders.get(quorum_id),
        )

    def overdue(self) -> str | None:
        """Why the appliance must lock itself now, or None."""
        current = self._unlocked
        if current is None:
            return None
        now = self.clock.now()
        until = current.until if current.armed is None else current.armed.until
        if now >= until:
            return "the activation's life is over"
        idle_seconds = 0 if current.policy is None else current.policy.idle_seconds
        if idle_seconds and now - self.last_used >= idle_seconds:
            return f"unused for {idle_seconds} s"
        return None

    def armed_seconds(self) -> int:
        """Whole seconds that the appliance stays armed, 0 when it is not."""
        armed = self.armed
        return 0 if armed is None else max(0, int(armed.until - self.clock.now()))
