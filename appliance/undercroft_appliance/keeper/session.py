"""The state machine: empty, sealed, unlocked, armed, and the way back.

An activation id is drawn at start and at every lock; making a key, or a failed activation, does not change it, so that
a host can go through a whole ceremony with one. What is remembered over a lock is no secret: the ledger of each quorum
(a lock must not begin a window anew) and which quorum was frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.messages import ARMED, EMPTY, SEALED, UNLOCKED, Owner, Policy, Quorum

from .clock import Clock
from .history import History
from .ledger import Ledger
from .parse import Expected
from .prove import ProvenTransaction
from .refusals import ALREADY_ARMED, ALREADY_UNLOCKED, NOT_ACTIVATED, NOT_ARMED, NOT_UNLOCKED, Refusal

ACTIVATION_ID_BYTES: Final = 16
CEREMONY_SECONDS: Final = 3600
"""How long a key stays unlocked without a policy."""
MOST_REFUSALS: Final = 10


@dataclass(slots=True)
class Armed:
    """What begins with a grant. ``until``: monotonic seconds; ``held``: what waits for the owner, by txid."""

    until: float
    ledger: Ledger
    history: History
    held: dict[bytes, ProvenTransaction] = field(default_factory=dict)
    height: int | None = None
    refusals: int = 0


@dataclass(slots=True)
class Unlocked:
    """What begins with a passphrase. ``policy`` None: unlocked for the ceremony only. ``until``: monotonic seconds."""

    quorum: Quorum
    owner: Owner
    site: str
    policy: Policy | None
    until: float
    armed: Armed | None = None
    descriptor: QuorumDescriptor = field(init=False)
    xpub: ExtendedPublicKey = field(init=False)

    def __post_init__(self) -> None:
        self.descriptor = self.quorum.descriptor()
        self.xpub = ExtendedPublicKey.from_bytes(self.owner.xpub, self.quorum.bitcoin_network)


class Session:
    """Where the appliance stands. ``random`` gives so many random bytes that need not be secret."""

    def __init__(self, clock: Clock, random: Callable[[int], bytes]) -> None:
        self.clock = clock
        self._random = random
        self.activation_id = random(ACTIVATION_ID_BYTES)
        self.last_sequence = 0
        self.last_used = clock.now()
        self.frozen: dict[bytes, str] = {}
        self._sealed: Quorum | None = None
        self._unlocked: Unlocked | None = None
        self._remembered: dict[bytes, Ledger] = {}
        self._histories: dict[bytes, History] = {}

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
        self._sealed = None
        self._unlocked = Unlocked(quorum, owner, site, policy, self.clock.now() + life)

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
        if self.ledger(quorum_id) is None:
            self._remembered[quorum_id] = ledger

    def history(self, quorum_id: bytes) -> History:
        """What this appliance has signed for a quorum since it was switched on."""
        return self._histories.setdefault(quorum_id, History())

    def arm(self, ledger: Ledger, life_seconds: int) -> None:
        """unlocked to armed, for so many seconds."""
        current, _ = self.need_unarmed()
        current.armed = Armed(self.clock.now() + life_seconds, ledger, self.history(current.quorum.id))
        self.frozen.pop(current.quorum.id, None)

    def lock(self) -> None:
        """Any state to empty, with a new activation id. The keys are wiped by whoever calls this, and first."""
        if self._unlocked is not None and self._unlocked.armed is not None:
            self._remembered[self._unlocked.quorum.id] = self._unlocked.armed.ledger
        self._sealed = None
        self._unlocked = None
        self.activation_id = self._random(ACTIVATION_ID_BYTES)
        self.last_sequence = 0
        self.clock.forget()

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
