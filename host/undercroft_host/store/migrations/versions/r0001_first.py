"""All tables of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("opened", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_account")),
    )
    op.create_table(
        "appliance",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("link", sa.String(length=255), nullable=False),
        sa.Column("identity", sa.LargeBinary(length=32), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("added", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_appliance")),
        sa.UniqueConstraint("identity", name=op.f("uq_appliance_identity")),
    )
    op.create_table(
        "appliance_log",
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cbor", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("identity", "number", name=op.f("pk_appliance_log")),
    )
    op.create_table(
        "appliance_log_seal",
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_appliance_log_seal")),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", _LONG, nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("action", sa.String(length=80), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    op.create_table(
        "batch",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
    )
    op.create_table(
        "block",
        sa.Column("height", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("time", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("height", name=op.f("pk_block")),
        sa.UniqueConstraint("hash", name=op.f("uq_block_hash")),
    )
    op.create_table(
        "chain_transaction",
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("first_seen", _LONG, nullable=False),
        sa.Column("conflicted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("txid", name=op.f("pk_chain_transaction")),
    )
    op.create_table(
        "intent",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("started", _LONG, nullable=False),
        sa.Column("finished", _LONG, nullable=True),
        sa.Column("outcome", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intent")),
    )
    op.create_table(
        "journal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("time", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        sa.UniqueConstraint("kind", "subject", name=op.f("uq_journal_kind_subject")),
    )
    op.create_table(
        "quorum",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cbor", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("formed", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quorum")),
    )
    op.create_table(
        "risk_verdict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("ruleset_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("time", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_verdict")),
    )
    op.create_index(op.f("ix_risk_verdict_subject"), "risk_verdict", ["subject"], unique=False)
    op.create_table(
        "acceptance",
        sa.Column("quorum_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("received", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["quorum_id"], ["quorum.id"], name=op.f("fk_acceptance_quorum_id_quorum")),
        sa.PrimaryKeyConstraint("quorum_id", "identity", name=op.f("pk_acceptance")),
    )
    op.create_table(
        "address",
        sa.Column("script", sa.LargeBinary(length=34), nullable=False),
        sa.Column("quorum_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("branch", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(length=100), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=True),
        sa.Column("issued", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.name"], name=op.f("fk_address_account_account")),
        sa.ForeignKeyConstraint(["quorum_id"], ["quorum.id"], name=op.f("fk_address_quorum_id_quorum")),
        sa.PrimaryKeyConstraint("script", name=op.f("pk_address")),
        sa.UniqueConstraint("quorum_id", "branch", "index", name=op.f("uq_address_quorum_id_branch_index")),
        sa.UniqueConstraint("text", name=op.f("uq_address_text")),
    )
    op.create_table(
        "batch_send",
        sa.Column("batch", sa.LargeBinary(length=16), nullable=False),
        sa.Column("activation_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("appliance", sa.String(length=40), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=True),
        sa.Column("sent", _LONG, nullable=False),
        sa.Column("replied", _LONG, nullable=True),
        sa.ForeignKeyConstraint(["appliance"], ["appliance.name"], name=op.f("fk_batch_send_appliance_appliance")),
        sa.ForeignKeyConstraint(["batch"], ["batch.id"], name=op.f("fk_batch_send_batch_batch")),
        sa.PrimaryKeyConstraint("batch", "activation_id", name=op.f("pk_batch_send")),
    )
    op.create_table(
        "declaration",
        sa.Column("appliance", sa.String(length=40), nullable=False),
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("received", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["appliance"], ["appliance.name"], name=op.f("fk_declaration_appliance_appliance")),
        sa.PrimaryKeyConstraint("appliance", name=op.f("pk_declaration")),
        sa.UniqueConstraint("identity", name=op.f("uq_declaration_identity")),
    )
    op.create_table(
        "deposit",
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("vout", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("amount_sats", _LONG, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("seen", _LONG, nullable=False),
        sa.Column("credited", _LONG, nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["account.name"], name=op.f("fk_deposit_account_account")),
        sa.PrimaryKeyConstraint("txid", "vout", name=op.f("pk_deposit")),
    )
    op.create_table(
        "payment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("quorum_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("unsigned", sa.LargeBinary(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=True),
        sa.Column("fee_sats", _LONG, nullable=False),
        sa.Column("feerate_sat_per_kvb", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("built", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["quorum_id"], ["quorum.id"], name=op.f("fk_payment_quorum_id_quorum")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("txid", name=op.f("uq_payment_txid")),
    )
    op.create_table(
        "policy",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("quorum_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("cbor", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("proposed", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["quorum_id"], ["quorum.id"], name=op.f("fk_policy_quorum_id_quorum")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_policy")),
    )
    op.create_table(
        "posting",
        sa.Column("journal", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(length=80), nullable=False),
        sa.Column("amount_sats", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["journal"], ["journal.id"], name=op.f("fk_posting_journal_journal")),
        sa.PrimaryKeyConstraint("journal", "account", name=op.f("pk_posting")),
    )
    op.create_index(op.f("ix_posting_account"), "posting", ["account"], unique=False)
    op.create_table(
        "activation",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("appliance", sa.String(length=40), nullable=False),
        sa.Column("quorum_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("policy_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("site", sa.String(length=40), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("grant", sa.LargeBinary(), nullable=True),
        sa.Column("granted_by", sa.String(length=40), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("requested", _LONG, nullable=False),
        sa.Column("armed", _LONG, nullable=True),
        sa.ForeignKeyConstraint(["appliance"], ["appliance.name"], name=op.f("fk_activation_appliance_appliance")),
        sa.ForeignKeyConstraint(["policy_hash"], ["policy.hash"], name=op.f("fk_activation_policy_hash_policy")),
        sa.ForeignKeyConstraint(["quorum_id"], ["quorum.id"], name=op.f("fk_activation_quorum_id_quorum")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activation")),
    )
    op.create_table(
        "batch_payment",
        sa.Column("batch", sa.LargeBinary(length=16), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("payment", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["batch"], ["batch.id"], name=op.f("fk_batch_payment_batch_batch")),
        sa.ForeignKeyConstraint(["payment"], ["payment.id"], name=op.f("fk_batch_payment_payment_payment")),
        sa.PrimaryKeyConstraint("batch", "position", name=op.f("pk_batch_payment")),
    )
    op.create_table(
        "coin",
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("vout", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("script", sa.LargeBinary(length=34), nullable=False),
        sa.Column("amount_sats", _LONG, nullable=False),
        sa.Column("spent_by", sa.LargeBinary(length=32), nullable=True),
        sa.Column("payment", sa.Integer(), nullable=True),
        sa.Column("frozen", sa.String(length=120), nullable=True),
        sa.CheckConstraint("amount_sats > 0", name=op.f("ck_coin_positive")),
        sa.ForeignKeyConstraint(["payment"], ["payment.id"], name=op.f("fk_coin_payment_payment")),
        sa.ForeignKeyConstraint(["script"], ["address.script"], name=op.f("fk_coin_script_address")),
        sa.ForeignKeyConstraint(["txid"], ["chain_transaction.txid"], name=op.f("fk_coin_txid_chain_transaction")),
        sa.PrimaryKeyConstraint("txid", "vout", name=op.f("pk_coin")),
    )
    op.create_table(
        "payment_input",
        sa.Column("payment", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("vout", sa.Integer(), nullable=False),
        sa.Column("branch", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("amount_sats", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["payment"], ["payment.id"], name=op.f("fk_payment_input_payment_payment")),
        sa.PrimaryKeyConstraint("payment", "position", name=op.f("pk_payment_input")),
    )
    op.create_table(
        "payment_verdict",
        sa.Column("payment", sa.Integer(), nullable=False),
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=True),
        sa.Column("policy_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("log_head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("time", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["payment"], ["payment.id"], name=op.f("fk_payment_verdict_payment_payment")),
        sa.PrimaryKeyConstraint("payment", "identity", name=op.f("pk_payment_verdict")),
    )
    op.create_table(
        "policy_approval",
        sa.Column("policy_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("received", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["policy_hash"], ["policy.hash"], name=op.f("fk_policy_approval_policy_hash_policy")),
        sa.PrimaryKeyConstraint("policy_hash", "identity", name=op.f("pk_policy_approval")),
    )
    op.create_table(
        "signature",
        sa.Column("payment", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=33), nullable=False),
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["payment"], ["payment.id"], name=op.f("fk_signature_payment_payment")),
        sa.PrimaryKeyConstraint("payment", "position", "public_key", name=op.f("pk_signature")),
    )
    op.create_table(
        "withdrawal",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("address", sa.String(length=100), nullable=False),
        sa.Column("script", sa.LargeBinary(), nullable=False),
        sa.Column("amount_sats", _LONG, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("payment", sa.Integer(), nullable=True),
        sa.Column("requested", _LONG, nullable=False),
        sa.CheckConstraint("amount_sats > 0", name=op.f("ck_withdrawal_positive")),
        sa.ForeignKeyConstraint(["account"], ["account.name"], name=op.f("fk_withdrawal_account_account")),
        sa.ForeignKeyConstraint(["payment"], ["payment.id"], name=op.f("fk_withdrawal_payment_payment")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawal")),
    )
    op.create_table(
        "clearance",
        sa.Column("withdrawal", sa.String(length=40), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("expires", _LONG, nullable=False),
        sa.ForeignKeyConstraint(["withdrawal"], ["withdrawal.id"], name=op.f("fk_clearance_withdrawal_withdrawal")),
        sa.PrimaryKeyConstraint("withdrawal", name=op.f("pk_clearance")),
    )
    op.create_table(
        "payment_output",
        sa.Column("payment", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("script", sa.LargeBinary(), nullable=False),
        sa.Column("amount_sats", _LONG, nullable=False),
        sa.Column("withdrawal", sa.String(length=40), nullable=True),
        sa.Column("change_index", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["payment"], ["payment.id"], name=op.f("fk_payment_output_payment_payment")),
        sa.ForeignKeyConstraint(
            ["withdrawal"], ["withdrawal.id"], name=op.f("fk_payment_output_withdrawal_withdrawal")
        ),
        sa.PrimaryKeyConstraint("payment", "position", name=op.f("pk_payment_output")),
    )
