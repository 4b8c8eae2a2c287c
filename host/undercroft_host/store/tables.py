"""Every table of the host. Amounts are whole sats (BigInteger), times UTC seconds, hashes and keys raw bytes.

Transaction ids are stored in wire order (as hashed), 32 bytes. States are plain words, listed beside their column; the
module named behind a state is the only one that sets it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, LargeBinary, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import Integer

Sats = BigInteger().with_variant(Integer, "sqlite")
Time = BigInteger().with_variant(Integer, "sqlite")
Hash = LargeBinary(32)


class Base(DeclarativeBase):
    """Named constraints, so that migrations can find them on SQLite and on PostgreSQL."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# --- the store itself -------------------------------------------------------------------------------------------


class AuditRecord(Base):
    """One act, in a hash chain: ``head`` is SHA-256 over the canonical CBOR of this record with the head before it."""

    __tablename__ = "audit"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time: Mapped[int] = mapped_column(Time)
    actor: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(80))
    subject: Mapped[str] = mapped_column(String(120))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous: Mapped[bytes] = mapped_column(Hash)
    head: Mapped[bytes] = mapped_column(Hash)


class Intent(Base):
    """Written before an effect on the world and finished after it; what is unfinished is resolved by looking there."""

    __tablename__ = "intent"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(120))
    started: Mapped[int] = mapped_column(Time)
    finished: Mapped[int | None] = mapped_column(Time)
    outcome: Mapped[str | None] = mapped_column(String(200))


# --- custody: appliances, quorum, policy, activations ------------------------------------------------------------


class Appliance(Base):
    """A signing device and the link to it (see `link_text`). ``sequence`` is the last one that we used."""

    __tablename__ = "appliance"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    link: Mapped[str] = mapped_column(String(255))
    identity: Mapped[bytes | None] = mapped_column(Hash, unique=True)
    sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    added: Mapped[int] = mapped_column(Time)


class DeclarationRecord(Base):
    """A declaration as received (COSE_Sign1)."""

    __tablename__ = "declaration"
    appliance: Mapped[str] = mapped_column(ForeignKey("appliance.name"), primary_key=True)
    identity: Mapped[bytes] = mapped_column(Hash, unique=True)
    raw: Mapped[bytes]
    received: Mapped[int] = mapped_column(Time)


class QuorumRecord(Base):
    """``state``: forming, active (two tables below hold what made it so), retired — custody."""

    __tablename__ = "quorum"
    id: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    cbor: Mapped[bytes]
    state: Mapped[str] = mapped_column(String(20))
    formed: Mapped[int] = mapped_column(Time)


class AcceptanceRecord(Base):
    """An owner's acceptance as received; it holds the envelope with the quorum bound into it."""

    __tablename__ = "acceptance"
    quorum_id: Mapped[bytes] = mapped_column(ForeignKey("quorum.id"), primary_key=True)
    identity: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    raw: Mapped[bytes]
    received: Mapped[int] = mapped_column(Time)


class PolicyRecord(Base):
    """``usable``: from when appliances may use it (None: too few owners approved it) — custody.

    Which policy is in force follows from this and from what each policy replaces; see ``custody.policy_chain``.
    """

    __tablename__ = "policy"
    hash: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    quorum_id: Mapped[bytes] = mapped_column(ForeignKey("quorum.id"))
    version: Mapped[int]
    cbor: Mapped[bytes]
    text: Mapped[str]
    proposed: Mapped[int] = mapped_column(Time)
    usable: Mapped[int | None] = mapped_column(Time)


class PolicyApprovalRecord(Base):
    """An owner's approval of a policy as received."""

    __tablename__ = "policy_approval"
    policy_hash: Mapped[bytes] = mapped_column(ForeignKey("policy.hash"), primary_key=True)
    identity: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    raw: Mapped[bytes]
    received: Mapped[int] = mapped_column(Time)


class Activation(Base):
    """``state``: requested, armed, ended — custody."""

    __tablename__ = "activation"
    id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    appliance: Mapped[str] = mapped_column(ForeignKey("appliance.name"))
    quorum_id: Mapped[bytes] = mapped_column(ForeignKey("quorum.id"))
    policy_hash: Mapped[bytes] = mapped_column(ForeignKey("policy.hash"))
    site: Mapped[str] = mapped_column(String(40))
    request: Mapped[bytes]
    grant: Mapped[bytes | None]
    granted_by: Mapped[str | None] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20))
    requested: Mapped[int] = mapped_column(Time)
    armed: Mapped[int | None] = mapped_column(Time)


class ApplianceLogEntry(Base):
    """An appliance's log as it was read back (canonical CBOR of each LogEntry)."""

    __tablename__ = "appliance_log"
    identity: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    head: Mapped[bytes] = mapped_column(Hash)
    cbor: Mapped[bytes]


class ApplianceLogSeal(Base):
    """A LogSeal of an appliance as received. Its next activation starts from the newest; an older one stays where
    entries behind it are missing."""

    __tablename__ = "appliance_log_seal"
    identity: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    length: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    raw: Mapped[bytes]
    kept: Mapped[int] = mapped_column(Time)


class FreezeRecord(Base):
    """A FreezeOrder as signed, by an owner or the vault. ``lifted``: when an appliance was armed in spite of it."""

    __tablename__ = "freeze_order"
    hash: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    quorum_id: Mapped[bytes] = mapped_column(ForeignKey("quorum.id"))
    signer: Mapped[bytes] = mapped_column(Hash)
    reason: Mapped[str] = mapped_column(String(200))
    ordered: Mapped[int] = mapped_column(Time)
    raw: Mapped[bytes]
    learned: Mapped[int] = mapped_column(Time)
    lifted: Mapped[int | None] = mapped_column(Time)


# --- vault: accounts, addresses, coins ---------------------------------------------------------------------------


class Account(Base):
    """A customer of the exchange."""

    __tablename__ = "account"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    opened: Mapped[int] = mapped_column(Time)


class Address(Base):
    """A script of ours. Branch 0 addresses belong to an account, branch 1 (change) to nobody."""

    __tablename__ = "address"
    script: Mapped[bytes] = mapped_column(LargeBinary(34), primary_key=True)
    quorum_id: Mapped[bytes] = mapped_column(ForeignKey("quorum.id"))
    branch: Mapped[int]
    index: Mapped[int]
    text: Mapped[str] = mapped_column(String(100), unique=True)
    account: Mapped[str | None] = mapped_column(ForeignKey("account.name"))
    issued: Mapped[int] = mapped_column(Time)
    __table_args__ = (UniqueConstraint("quorum_id", "branch", "index"),)


class Block(Base):
    """The chain as we have followed it: the newest blocks, for walking back to a common ancestor."""

    __tablename__ = "block"
    height: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(Hash, unique=True)
    time: Mapped[int] = mapped_column(Time)


class ChainTransaction(Base):
    """A transaction that touches our scripts, whole; ``height`` is None while it is in no block of the active chain."""

    __tablename__ = "chain_transaction"
    txid: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    raw: Mapped[bytes]
    height: Mapped[int | None]
    block_hash: Mapped[bytes | None] = mapped_column(Hash)
    first_seen: Mapped[int] = mapped_column(Time)
    conflicted: Mapped[bool] = mapped_column(default=False)


class Coin(Base):
    """An output to one of our scripts. ``payment`` is the vault's own coin lock; ``spent_by`` what the chain or the
    mempool shows as its spender."""

    __tablename__ = "coin"
    txid: Mapped[bytes] = mapped_column(ForeignKey("chain_transaction.txid"), primary_key=True)
    vout: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    script: Mapped[bytes] = mapped_column(ForeignKey("address.script"))
    amount_sats: Mapped[int] = mapped_column(Sats)
    spent_by: Mapped[bytes | None] = mapped_column(Hash)
    payment: Mapped[int | None] = mapped_column(ForeignKey("payment.id"))
    frozen: Mapped[str | None] = mapped_column(String(120))
    __table_args__ = (CheckConstraint("amount_sats > 0", name="positive"),)


class Deposit(Base):
    """``state``: seen, delayed (risk), confirmed, credited (treasury), gone (reorganised or replaced away)."""

    __tablename__ = "deposit"
    txid: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    vout: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account: Mapped[str] = mapped_column(ForeignKey("account.name"))
    amount_sats: Mapped[int] = mapped_column(Sats)
    state: Mapped[str] = mapped_column(String(20))
    seen: Mapped[int] = mapped_column(Time)
    credited: Mapped[int | None] = mapped_column(Time)
    reason: Mapped[str | None] = mapped_column(String(200))


# --- withdrawals and payments ------------------------------------------------------------------------------------


class Withdrawal(Base):
    """A customer's order to pay. ``state``: requested (vault), delayed, denied, cleared (risk), assigned (vault, in a
    payment), paying (broadcast), settled (treasury), cancelled (vault)."""

    __tablename__ = "withdrawal"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("account.name"))
    address: Mapped[str] = mapped_column(String(100))
    script: Mapped[bytes]
    amount_sats: Mapped[int] = mapped_column(Sats)
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(200))
    payment: Mapped[int | None] = mapped_column(ForeignKey("payment.id"))
    requested: Mapped[int] = mapped_column(Time)
    __table_args__ = (CheckConstraint("amount_sats > 0", name="positive"),)


class RiskVerdict(Base):
    """Why risk decided as it did: every rule that spoke, with the numbers it compared.

    ``outcome``: allow, flag, delay, deny.
    """

    __tablename__ = "risk_verdict"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(80), index=True)
    outcome: Mapped[str] = mapped_column(String(20))
    ruleset_hash: Mapped[bytes] = mapped_column(Hash)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    time: Mapped[int] = mapped_column(Time)


class ClearanceRecord(Base):
    """The risk service's signed clearance of a withdrawal (COSE_Sign1)."""

    __tablename__ = "clearance"
    withdrawal: Mapped[str] = mapped_column(ForeignKey("withdrawal.id"), primary_key=True)
    raw: Mapped[bytes]
    expires: Mapped[int] = mapped_column(Time)


class Payment(Base):
    """A transaction of ours. ``state``: built, signing, held, refused (desk), signed, broadcast (vault), settled
    (treasury), cancelled (vault). ``signed`` is stored before it is ever broadcast, and only these bytes are sent."""

    __tablename__ = "payment"
    id: Mapped[int] = mapped_column(primary_key=True)
    txid: Mapped[bytes] = mapped_column(Hash, unique=True)
    quorum_id: Mapped[bytes] = mapped_column(ForeignKey("quorum.id"))
    unsigned: Mapped[bytes]
    signed: Mapped[bytes | None]
    fee_sats: Mapped[int] = mapped_column(Sats)
    feerate_sat_per_kvb: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(200))
    built: Mapped[int] = mapped_column(Time)


class PaymentInput(Base):
    """An input of a payment, with where its script comes from."""

    __tablename__ = "payment_input"
    payment: Mapped[int] = mapped_column(ForeignKey("payment.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    txid: Mapped[bytes] = mapped_column(Hash)
    vout: Mapped[int]
    branch: Mapped[int]
    index: Mapped[int]
    amount_sats: Mapped[int] = mapped_column(Sats)


class PaymentOutput(Base):
    """An output of a payment: a withdrawal's payee, or change."""

    __tablename__ = "payment_output"
    payment: Mapped[int] = mapped_column(ForeignKey("payment.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    script: Mapped[bytes]
    amount_sats: Mapped[int] = mapped_column(Sats)
    withdrawal: Mapped[str | None] = mapped_column(ForeignKey("withdrawal.id"))
    change_index: Mapped[int | None]


class Signature(Base):
    """A verified ECDSA signature (DER, without the sighash byte) of one owner for one input."""

    __tablename__ = "signature"
    payment: Mapped[int] = mapped_column(ForeignKey("payment.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(33), primary_key=True)
    identity: Mapped[bytes] = mapped_column(Hash)
    der: Mapped[bytes]


# --- desk: batches and what the appliances said ------------------------------------------------------------------


class Batch(Base):
    """Payments that were sent together. ``body`` is the canonical CBOR of the BatchRequest."""

    __tablename__ = "batch"
    id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    body: Mapped[bytes]
    created: Mapped[int] = mapped_column(Time)


class BatchPayment(Base):
    """Which payment stands at which position of a batch."""

    __tablename__ = "batch_payment"
    batch: Mapped[bytes] = mapped_column(ForeignKey("batch.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    payment: Mapped[int] = mapped_column(ForeignKey("payment.id"))


class BatchSend(Base):
    """One batch to one activation of an appliance: the very bytes (stored before they are sent), the newest answer."""

    __tablename__ = "batch_send"
    batch: Mapped[bytes] = mapped_column(ForeignKey("batch.id"), primary_key=True)
    activation_id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    appliance: Mapped[str] = mapped_column(ForeignKey("appliance.name"))
    request: Mapped[bytes]
    reply: Mapped[bytes | None]
    sent: Mapped[int] = mapped_column(Time)
    replied: Mapped[int | None] = mapped_column(Time)


class PaymentVerdict(Base):
    """What an appliance said of a payment: signed, held, refused; the newest word of each."""

    __tablename__ = "payment_verdict"
    payment: Mapped[int] = mapped_column(ForeignKey("payment.id"), primary_key=True)
    identity: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    verdict: Mapped[str] = mapped_column(String(20))
    code: Mapped[str | None] = mapped_column(String(40))
    policy_hash: Mapped[bytes] = mapped_column(Hash)
    log_head: Mapped[bytes] = mapped_column(Hash)
    time: Mapped[int] = mapped_column(Time)


# --- treasury: the double-entry ledger ---------------------------------------------------------------------------


class Journal(Base):
    """One event in the books; ``kind`` and ``subject`` together happen once."""

    __tablename__ = "journal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(120))
    time: Mapped[int] = mapped_column(Time)
    __table_args__ = (UniqueConstraint("kind", "subject"),)


class Posting(Base):
    """One line of a journal entry; the lines of an entry add up to zero. Debits are positive, credits negative."""

    __tablename__ = "posting"
    journal: Mapped[int] = mapped_column(ForeignKey("journal.id"), primary_key=True)
    account: Mapped[str] = mapped_column(String(80), primary_key=True, index=True)
    amount_sats: Mapped[int] = mapped_column(Sats)
