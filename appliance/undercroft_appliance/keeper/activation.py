"""Activation: the owner opens the key, another owner at another site grants, and only then anything is signed."""

from __future__ import annotations

from typing import Final

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import (
    LOG_START,
    ActivateRequest,
    ActivationGrant,
    ActivationRequest,
    ApprovedPolicy,
    ArmRequest,
    Done,
    GrantRequest,
    LogEnd,
    LogSeal,
    Message,
    Owner,
    Policy,
    Quorum,
    RequestHeader,
    Spent,
    StatementReply,
    grouped_code,
    open_statement,
)

from . import policy_screen, show
from .ceremony import check_descriptor, check_network, memory_warning, own_entry
from .ledger import Ledger
from .parse import check_expiry, sent_by
from .parts import Outcome, Parts
from .passphrase import with_passphrase
from .policies import Authority, PolicyMark, authorise
from .refusals import (
    ENVELOPE_UNUSABLE,
    GRANT_LIFE,
    GRANT_OTHER_ACTIVATION,
    GRANT_OTHER_FIRMWARE,
    GRANT_OTHER_GRANTEE,
    GRANT_OTHER_POLICY,
    GRANT_SAME_OWNER,
    GRANT_SAME_SITE,
    GRANT_UNTRUSTED,
    LOG_SEAL,
    OTHER_QUORUM,
    OWNER_DECLINED,
    TIME_DENIED,
    Refusal,
)
from .session import Session, Unlocked
from .sweep import check_sweep
from .text import amount, duration, moment

TITLE_ACTIVATE: Final = "Activation"
TITLE_TIME: Final = "Time"
TITLE_GRANT: Final = "Grant"
TITLE_ARM: Final = "Arm"
PROMPT_SITE: Final = "At which site are you?"
PROMPT_TIME: Final = "Is that right, by your own watch?"
PROMPT_GRANT: Final = "Have you spoken with this owner, and do you grant it?"
PROMPT_EMPTY: Final = "Type EMPTY if you know it; anything else if you do not"
PROMPT_COMPLETE: Final = "Type COMPLETE if you know it; anything else if you do not"
PROMPT_ARM: Final = "Arm this appliance?"
DECLINE: Final = "decline"
CHOICES_TIME: Final = ("right", "wrong")
CHOICES_GRANT: Final = ("grant", DECLINE)
CHOICES_ARM: Final = ("arm", DECLINE)
EMPTY_WORD: Final = "EMPTY"
COMPLETE_WORD: Final = "COMPLETE"


def activate(parts: Parts, request: ActivateRequest, message: Message[RequestHeader]) -> Outcome:
    """empty to unlocked: everything that the host brought is proved, then the owner chooses, confirms, and unlocks."""
    session = parts.session
    session.need_empty()
    quorum, policy = request.quorum, request.policy
    arrived = session.clock.now()
    sent_by(message, quorum.vault_key, quorum.id)
    check_network(parts, quorum.network)
    check_descriptor(quorum)
    owner = own_entry(quorum, request.envelope)
    session.check_holder(quorum.id, owner)
    # Attack: the owner's envelope of another quorum, to be judged by this one's rules.
    if request.envelope.quorum_id != quorum.id:
        raise Refusal(ENVELOPE_UNUSABLE, "it is not bound to this quorum")
    log_seal = _log_seal(quorum, owner, request.log_seal)
    check_sweep(policy, parts.setup.network)
    # By the host's time, which the owner is asked about below: an activation at a false time comes to nothing.
    approved, mark = ApprovedPolicy(policy, request.approvals), _mark(session, quorum, log_seal)
    authority = authorise(quorum, approved, request.lineage, request.time, mark)
    session.seal(quorum)
    site = _ask_site(parts, quorum, owner, policy, authority)
    if (
        parts.screen.ask(TITLE_TIME, [f"The host says it is {moment(request.time)}. Right?"], PROMPT_TIME, CHOICES_TIME)
        != CHOICES_TIME[0]
    ):
        # Attack: a host with a false clock makes expired clearances good again.
        raise Refusal(TIME_DENIED, moment(request.time))
    check_expiry(message.header, request.time)
    with_passphrase(parts, lambda: parts.keys.unlock(request.envelope, quorum.id))
    session.clock.confirm(request.time, arrived)
    session.unlock(quorum, owner, site, policy)
    session.need_unlocked().book.fill(parts.setup.addresses)
    session.knows_policy(policy)
    _continue_log(parts, (quorum.id, owner.identity), log_seal)
    if log_seal is not None:
        _recall(session, log_seal)
    facts = (
        f"owner {owner.name} at {site}, quorum {quorum.code}",
        f"policy {policy.name}, version {policy.version}, code {grouped_code(policy.hash)}",
    )
    parts.log.append("activated", (*facts, f"activation {session.activation_id.hex()}"))
    statement = ActivationRequest(
        quorum.id,
        session.activation_id,
        policy.hash,
        parts.setup.firmware_hash,
        site,
        policy.activation_seconds,
        session.clock.utc or request.time,
    )
    return Outcome(StatementReply(parts.state(statement)), "Unlocked; another owner must grant now", facts)


def grant(parts: Parts, request: GrantRequest) -> Outcome:
    """unlocked or armed: arm another owner's appliance at another site."""
    current, policy = parts.session.need_activated()
    asked, grantee = _open_request(current, request.request)
    _check_same(parts, current, policy, asked)
    lines = [
        f"{grantee.name} asks you to arm the appliance at {asked.site}.",
        f"For {duration(asked.life_seconds)}, asked at {moment(asked.time)}",
        f"Quorum {current.quorum.code}",
        f"Policy {policy.name}, version {policy.version}, code {grouped_code(policy.hash)}",
        f"Activation {asked.activation_id.hex()}",
    ]
    if parts.screen.ask(TITLE_GRANT, lines, PROMPT_GRANT, CHOICES_GRANT) != CHOICES_GRANT[0]:
        raise Refusal(OWNER_DECLINED, TITLE_GRANT)
    ledger = _ledger_to_carry(parts, current, policy)
    statement = ActivationGrant(
        current.quorum.id,
        asked.activation_id,
        grantee.identity,
        policy.hash,
        parts.setup.firmware_hash,
        current.site,
        asked.life_seconds,
        ledger,
    )
    facts = (
        f"to {grantee.name} at {asked.site}, activation {asked.activation_id.hex()}",
        "without a ledger" if ledger is None else f"with a ledger of {len(ledger)} transactions",
    )
    parts.log.append("granted", facts[:1], facts[1:])
    return Outcome(StatementReply(parts.state(statement)), "Granted", facts)


def arm(parts: Parts, request: ArmRequest) -> Outcome:
    """unlocked to armed, by another owner's grant for exactly this activation."""
    session = parts.session
    current, policy = session.need_unarmed()
    granted, granter = _open_grant(current, request.grant)
    _check_same(parts, current, policy, granted)
    # Attack: a grant that was given for another appliance, or for an activation that is over.
    if granted.grantee != current.owner.identity:
        raise Refusal(GRANT_OTHER_GRANTEE, f"identity {grouped_code(granted.grantee)}")
    if granted.activation_id != session.activation_id:
        raise Refusal(GRANT_OTHER_ACTIVATION, granted.activation_id.hex())
    longest, own = policy.windows[-1].seconds, session.ledger(current.quorum.id)
    now = session.clock.now()
    ledger = Ledger.armed(now, own, granted.ledger, longest)
    lines = [
        f"{granter.name} at {granted.site} arms this appliance for {duration(granted.life_seconds)}.",
        f"Policy {policy.name}, version {policy.version}, code {grouped_code(policy.hash)}",
        *show.windows(policy, ledger, now),
    ]
    if parts.screen.ask(TITLE_ARM, lines, PROMPT_ARM, CHOICES_ARM) != CHOICES_ARM[0]:
        raise Refusal(OWNER_DECLINED, TITLE_ARM)
    # The ledger starts when the owner says yes: what was unknown stays so for a whole window from then on.
    ledger = Ledger.armed(session.clock.now(), own, granted.ledger, longest)
    session.arm(ledger, granted.life_seconds)
    facts = (
        f"by {granter.name} at {granted.site} for {duration(granted.life_seconds)}",
        *show.windows(policy, ledger, session.clock.now()),
    )
    parts.log.append("armed", facts[:1], facts[1:])
    return Outcome(Done(session.state), "Armed", facts)


def _mark(session: Session, quorum: Quorum, seal: LogSeal | None) -> PolicyMark | None:
    """The newest policy that was in force here, by this appliance's memory and by its own seal."""
    known = session.marks.get(quorum.id)
    if seal is None or seal.policy_version is None or seal.policy_hash is None:
        return known
    sealed = PolicyMark(seal.policy_version, seal.policy_hash)
    # Attack: an old seal makes the memory of this appliance older than it is.
    return sealed if known is None or sealed.version > known.version else known


def _log_seal(quorum: Quorum, owner: Owner, data: bytes | None) -> LogSeal | None:
    if data is None:
        return None
    try:
        seal, _ = open_statement(LogSeal, data, (owner.identity,))
    except ProtocolError as error:
        # Attack: the host makes up a log that ended elsewhere.
        raise Refusal(LOG_SEAL, str(error)) from error
    if seal.quorum_id != quorum.id:
        raise Refusal(LOG_SEAL, f"quorum {grouped_code(seal.quorum_id)}")
    return seal


def _continue_log(parts: Parts, key: tuple[bytes, bytes], seal: LogSeal | None) -> None:
    log = parts.log
    end = LOG_START if seal is None else LogEnd(seal.length, seal.head)
    # Attack: one quorum's host reads in a first activation what this appliance did for another quorum.
    is_its_own = log.owner == key or (log.owner is None and seal is None)
    # What this appliance wrote itself is as long as any seal that the host could bring, unless the owner used another
    # appliance meanwhile: one chain with two ends would look rewritten.
    if not is_its_own or end.length > log.length:
        log.continue_from(end.length, end.head)
    log.owner = key


def _recall(session: Session, seal: LogSeal) -> None:
    if seal.highest_change is not None:
        session.history(seal.quorum_id).knows_change(seal.highest_change)
    if seal.height is not None:
        session.history(seal.quorum_id).knows_height(seal.height)
    session.history(seal.quorum_id).knows_amounts(seal.amounts)
    # Attack: the appliance is switched off and on, so that it forgets what left today. A clock that seems to have gone
    # back makes nothing older than it was.
    gone_seconds = 0 if seal.time is None else max(0, session.clock.confirmed_utc() - seal.time)
    sealed = Ledger.recalled(session.clock.now(), gone_seconds, seal.ledger or (), seal.total_sats)
    session.recall(seal.quorum_id, sealed)


def _ask_site(parts: Parts, quorum: Quorum, owner: Owner, policy: Policy, authority: Authority) -> str:
    sites = tuple(one.site for one in quorum.owners)
    lines = [
        f"Owner {owner.name}",
        f"Quorum {quorum.code}",
        f"Policy {policy.name}, version {policy.version}, code {grouped_code(policy.hash)}",
        *policy_screen.authority(policy, authority, parts.setup.network),
        f"Life {duration(policy.activation_seconds)}",
        *memory_warning(parts),
    ]
    if quorum.id in parts.session.frozen:
        lines.append(f"WARNING: this quorum was frozen: {parts.session.frozen[quorum.id]}")
    site = parts.screen.ask(TITLE_ACTIVATE, lines, PROMPT_SITE, (*sites, DECLINE))
    if site == DECLINE:
        raise Refusal(OWNER_DECLINED, TITLE_ACTIVATE)
    return site


def _open_request(current: Unlocked, data: bytes) -> tuple[ActivationRequest, Owner]:
    try:
        asked, signer = open_statement(ActivationRequest, data, current.quorum.identities)
    except ProtocolError as error:
        raise Refusal(GRANT_UNTRUSTED, str(error)) from error
    return asked, _other(current, signer)


def _open_grant(current: Unlocked, data: bytes) -> tuple[ActivationGrant, Owner]:
    try:
        granted, signer = open_statement(ActivationGrant, data, current.quorum.identities)
    except ProtocolError as error:
        raise Refusal(GRANT_UNTRUSTED, str(error)) from error
    return granted, _other(current, signer)


def _other(current: Unlocked, identity: bytes) -> Owner:
    # Attack: one owner with two appliances (or a copied envelope) arms both.
    if identity == current.owner.identity:
        raise Refusal(GRANT_SAME_OWNER, current.owner.name)
    return current.quorum.owner_of(identity)


def _check_same(parts: Parts, current: Unlocked, policy: Policy, other: ActivationRequest | ActivationGrant) -> None:
    """Raises Refusal unless the other appliance has our quorum, our rules, our software, and is at another site."""
    if other.quorum_id != current.quorum.id:
        raise Refusal(OTHER_QUORUM, f"quorum {grouped_code(other.quorum_id)}")
    # Attack: one appliance is armed with looser rules than its granter knows.
    if other.policy_hash != policy.hash:
        raise Refusal(GRANT_OTHER_POLICY, f"{grouped_code(other.policy_hash)}, here {grouped_code(policy.hash)}")
    # Attack: an appliance with changed software is armed by an honest one (signers.md 99).
    if other.firmware_hash != parts.setup.firmware_hash:
        here = grouped_code(parts.setup.firmware_hash)
        raise Refusal(GRANT_OTHER_FIRMWARE, f"{grouped_code(other.firmware_hash)}, here {here}")
    # Attack: two owners are held in one room.
    if other.site == current.site:
        raise Refusal(GRANT_SAME_SITE, other.site)
    # Attack: an activation that outlives the working day, for whoever finds the appliance.
    if not 0 < other.life_seconds <= policy.activation_seconds:
        raise Refusal(GRANT_LIFE, f"{other.life_seconds} s, {policy.activation_seconds} s is the most")


def _ledger_to_carry(parts: Parts, current: Unlocked, policy: Policy) -> tuple[Spent, ...] | None:
    """What this appliance knows to be spent; what it knows of, and the owner's word that it was all; or None."""
    longest = policy.windows[-1].seconds
    now = parts.session.clock.now()
    ledger = parts.session.ledger(current.quorum.id)
    if ledger is not None and (carried := ledger.carried(longest, now)) is not None:
        return carried
    span = duration(longest)
    otherwise = "Otherwise every window of the other appliance counts as spent until it has passed once."
    if ledger is None or ledger.is_idle(longest, now):
        lines = [
            "This appliance does not know what was spent before.",
            f"If you know that this quorum signed nothing in the last {span}, type {EMPTY_WORD}.",
            otherwise,
        ]
        return () if parts.screen.text(TITLE_GRANT, lines, PROMPT_EMPTY) == EMPTY_WORD else None
    known = ledger.told(longest, now)
    # Who knows of spending cannot say that there was none, only that there was no other.
    if not known:
        return None
    lines = [
        "This appliance does not know all that was spent before.",
        f"It knows of {amount(sum(one.amount_sats for one in known))} in the last {span},",
        f"in {len(known)} transactions, the newest {duration(min(one.age_seconds for one in known))} ago.",
        f"If you know that this quorum signed nothing else in that time, type {COMPLETE_WORD}.",
        otherwise,
    ]
    return known if parts.screen.text(TITLE_GRANT, lines, PROMPT_COMPLETE) == COMPLETE_WORD else None
