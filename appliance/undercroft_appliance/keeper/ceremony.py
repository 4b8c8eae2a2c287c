"""The ceremony: an owner makes a key, accepts a quorum, approves a policy."""

from __future__ import annotations

from typing import Final

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import (
    Acceptance,
    Declaration,
    DeclareRequest,
    Envelope,
    Message,
    Owner,
    PolicyApproval,
    PolicyOffer,
    Quorum,
    QuorumOffer,
    RequestHeader,
    StatementReply,
    grouped_code,
    loosened,
)

from . import policy_screen, show
from .birth import new_key
from .parse import sent_by
from .parts import Outcome, Parts
from .passphrase import with_passphrase
from .policies import check_offer
from .refusals import (
    ENVELOPE_UNUSABLE,
    NOT_IN_QUORUM,
    OTHER_NETWORK,
    OWNER_DECLINED,
    POLICY_OTHER_QUORUM,
    QUORUM_UNUSABLE,
    Refusal,
)
from .sweep import check_sweep

TITLE_DECLARE: Final = "New key"
TITLE_QUORUM: Final = "Quorum"
TITLE_POLICY: Final = "Policy"
CHOICES_DECLARE: Final = ("make", "decline")
CHOICES_QUORUM: Final = ("accept", "decline")
CHOICES_POLICY: Final = ("approve", "decline")
PROMPT_DECLARE: Final = "Make a key for this owner?"
PROMPT_NAME: Final = "Your name"
PROMPT_SITE: Final = "Your site"
PROMPT_REGION: Final = "Your region"
PROMPT_QUORUM: Final = "Have all three owners read out the same code?"
PROMPT_POLICY: Final = "Do you approve every rule?"
_MOST_NAME: Final = 40


def declare(parts: Parts, request: DeclareRequest) -> Outcome:
    """empty: make a key and declare it. The service wipes it after the reply; only the sealed draft remains."""
    parts.session.need_empty()
    check_network(parts, request.network)
    introduction = [f"The host asks you to make a key for {request.network}.", *memory_warning(parts)]
    name = _name(parts, introduction, PROMPT_NAME)
    site = _name(parts, introduction, PROMPT_SITE)
    region = _name(parts, introduction, PROMPT_REGION)
    lines = [*introduction, f"Owner {name}", f"Site {site}", f"Region {region}"]
    _agree(parts, TITLE_DECLARE, lines, PROMPT_DECLARE, CHOICES_DECLARE)
    key = new_key(parts)
    envelope = key.envelope
    declaration = Declaration(
        name,
        site,
        region,
        request.network,
        envelope.fingerprint,
        envelope.xpub,
        envelope.identity,
        key.possession,
        envelope,
    )
    facts = (f"owner {name}, site {site}, region {region}", f"identity {grouped_code(envelope.identity)}")
    parts.log.append("declared", facts)
    return Outcome(StatementReply(parts.state(declaration)), "Key made and declared", facts)


def accept_quorum(parts: Parts, request: QuorumOffer, message: Message[RequestHeader]) -> Outcome:
    """empty to unlocked: the owner compares the quorum code, and the key is bound to this quorum."""
    parts.session.need_empty()
    quorum = request.quorum
    sent_by(message, quorum.vault_key, quorum.id)
    check_network(parts, quorum.network)
    check_descriptor(quorum)
    owner = own_entry(quorum, request.envelope)
    parts.session.check_holder(quorum.id, owner)
    # Attack: a key that serves one quorum is bound to another, of the host's choosing.
    if request.envelope.quorum_id is not None:
        raise Refusal(ENVELOPE_UNUSABLE, "it is bound to a quorum already")
    parts.session.seal(quorum)
    lines = [*show.quorum(quorum, owner.identity), *memory_warning(parts)]
    _agree(parts, TITLE_QUORUM, lines, PROMPT_QUORUM, CHOICES_QUORUM)
    envelope = with_passphrase(parts, lambda: parts.keys.rebind(request.envelope, quorum.id))
    parts.session.unlock(quorum, owner, owner.site, None)
    facts = (f"quorum {quorum.code}", f"owner {owner.name}")
    parts.log.append("quorum-accepted", facts)
    return Outcome(StatementReply(parts.state(Acceptance(quorum.id, envelope))), "Quorum accepted", facts)


def approve_policy(parts: Parts, request: PolicyOffer) -> Outcome:
    """unlocked or armed: the owner reads every rule, and what they change of those in force here.

    What loosens none of them comes into force here at once; all else waits for the next activation.
    """
    session = parts.session
    current = session.need_unlocked()
    policy, in_force = request.policy, current.policy
    # Attack: an approval for a test quorum's generous policy is used here.
    if policy.quorum_id != current.quorum.id:
        raise Refusal(POLICY_OTHER_QUORUM, f"quorum {grouped_code(policy.quorum_id)}")
    check_sweep(policy, parts.setup.network)
    check_offer(policy, in_force, session.clock.utc)
    changes = () if in_force is None else policy_screen.changes(in_force, policy, parts.setup.network)
    _agree(parts, TITLE_POLICY, (*show.policy(policy, parts.setup.network), *changes), PROMPT_POLICY, CHOICES_POLICY)
    approval = PolicyApproval(current.quorum.id, policy.hash, policy.version, session.clock.utc or 0)
    facts = (f"policy {policy.name}, version {policy.version}", f"code {grouped_code(policy.hash)}")
    parts.log.append("policy-approved", facts)
    if in_force is None or in_force.hash == policy.hash:
        return Outcome(StatementReply(parts.state(approval)), "Policy approved", facts)
    if loosened(in_force, policy):
        # Attack: an armed appliance works by looser rules as soon as one owner says yes.
        return Outcome(StatementReply(parts.state(approval)), "Policy approved; it is not in force here yet", facts)
    session.tighten(policy)
    parts.log.append("policy-in-force", facts)
    return Outcome(StatementReply(parts.state(approval)), "Policy approved, and in force here from now on", facts)


def check_network(parts: Parts, network: str) -> None:
    """Raises Refusal for another network than the appliance's."""
    # Attack: a mainnet key is made or used under a testnet's careless rules.
    if network != parts.setup.network.value:
        raise Refusal(OTHER_NETWORK, f"{network} where {parts.setup.network.value} belongs")


def check_descriptor(quorum: Quorum) -> None:
    """Raises Refusal when the quorum's keys give no descriptor."""
    try:
        quorum.descriptor()
    except ProtocolError as error:
        # Attack: a key with an origin it does not have, which its owner would look for elsewhere (signers.md 35).
        raise Refusal(QUORUM_UNUSABLE, str(error)) from error


def own_entry(quorum: Quorum, envelope: Envelope) -> Owner:
    """The owner in the quorum whose key the envelope holds; raises Refusal when the envelope's keys differ from it."""
    try:
        owner = quorum.owner_of(envelope.identity)
    except ProtocolError as error:
        raise Refusal(NOT_IN_QUORUM, f"identity {grouped_code(envelope.identity)}") from error
    # Attack: our identity stands in the quorum beside somebody else's Bitcoin key.
    if (owner.xpub, owner.fingerprint) != (envelope.xpub, envelope.fingerprint):
        raise Refusal(NOT_IN_QUORUM, f"owner {owner.name} has another Bitcoin key")
    return owner


def memory_warning(parts: Parts) -> tuple[str, ...]:
    """Lines for the owner when this machine keeps secrets less well than it could."""
    if parts.keys.memory_kind == "memfd_secret":
        return parts.setup.warnings
    return (f"WARNING: keys are only in {parts.keys.memory_kind} memory; root could read them.", *parts.setup.warnings)


def _agree(parts: Parts, title: str, lines: tuple[str, ...] | list[str], prompt: str, choices: tuple[str, ...]) -> None:
    if parts.screen.ask(title, lines, prompt, choices) != choices[0]:
        raise Refusal(OWNER_DECLINED, title)


def _name(parts: Parts, lines: list[str], prompt: str) -> str:
    """A name of 1 to 40 characters, asked for until it is one."""
    while True:
        name = parts.screen.text(TITLE_DECLARE, lines, prompt)
        if 0 < len(name) <= _MOST_NAME:
            return name
