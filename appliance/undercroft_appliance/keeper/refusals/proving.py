"""Refusals of what a batch or a PSBT says and the keeper does not find."""

from __future__ import annotations

from .table import COARSE_UNPROVEN, refusal_code

# Prove: what the host says about coins and payees is not what the appliance finds.
PREVIOUS_MALFORMED = refusal_code(
    "previous-malformed", COARSE_UNPROVEN, "A previous transaction cannot be read. The host's data are damaged."
)
PREVIOUS_REPEATED = refusal_code(
    "previous-repeated", COARSE_UNPROVEN, "A previous transaction is there twice. The host builds batches wrongly."
)
PREVIOUS_UNUSED = refusal_code(
    "previous-unused", COARSE_UNPROVEN, "A previous transaction serves no input. The host builds batches wrongly."
)
PREVIOUS_MISSING = refusal_code(
    "previous-missing",
    COARSE_UNPROVEN,
    "An input's previous transaction is not there. The host builds batches wrongly.",
)
OUTPUT_MISSING = refusal_code(
    "output-missing", COARSE_UNPROVEN, "An input spends an output that does not exist. Lock and have the host examined."
)
FOREIGN_COIN = refusal_code(
    "foreign-coin",
    COARSE_UNPROVEN,
    "An input is not a coin of this quorum at that index. Lock and have the host examined.",
)
OUTPOINT_REPEATED = refusal_code(
    "outpoint-repeated", COARSE_UNPROVEN, "One coin is spent twice in the batch. The host's coin locks do not work."
)
CLEARANCE_MALFORMED = refusal_code(
    "clearance-malformed", COARSE_UNPROVEN, "A clearance cannot be read. Ask the risk service's operator."
)
CLEARANCE_UNTRUSTED = refusal_code(
    "clearance-untrusted",
    COARSE_UNPROVEN,
    "A payee was not cleared by the risk service of this quorum. Lock and have the host examined.",
)
CLEARANCE_OTHER_QUORUM = refusal_code(
    "clearance-other-quorum", COARSE_UNPROVEN, "A payee was cleared for another quorum. Ask the operator."
)
WITHDRAWAL_REPEATED = refusal_code(
    "withdrawal-repeated",
    COARSE_UNPROVEN,
    "One withdrawal is paid twice in the batch. Lock and have the host examined.",
)
COIN_INDEX = refusal_code(
    "coin-index",
    COARSE_UNPROVEN,
    "A coin lies further out than this quorum ever goes (it could raise the bound for change). Ask the operator.",
)
CHANGE_INDEX = refusal_code(
    "change-index",
    COARSE_UNPROVEN,
    "The change would go where it is hard to find again (a ransom attack). Lock and have the host examined.",
)
CHANGE_COUNT = refusal_code(
    "change-count", COARSE_UNPROVEN, "A transaction has more than two own outputs. The host builds batches wrongly."
)
DUST = refusal_code("dust", COARSE_UNPROVEN, "An output is too small to be relayed. The host builds batches wrongly.")
AMOUNT_RANGE = refusal_code(
    "amount-range",
    COARSE_UNPROVEN,
    "The amounts add up to more than there can ever be. Lock and have the host examined.",
)
OUTPUTS_EXCEED_INPUTS = refusal_code(
    "outputs-exceed-inputs", COARSE_UNPROVEN, "More goes out than comes in. The host's amounts are wrong."
)
SEQUENCE_NUMBER = refusal_code(
    "sequence-number",
    COARSE_UNPROVEN,
    "The inputs' sequence number is not one that is used here. Check the host's version.",
)
LOCKTIME = refusal_code(
    "locktime", COARSE_UNPROVEN, "The transaction could not be mined now. Check the host's chain height."
)

# Prove a PSBT: it must be in one form only, and what it says of our keys and scripts must be what we rebuild.
PSBT_MALFORMED = refusal_code(
    "psbt-malformed", COARSE_UNPROVEN, "These bytes are no PSBT in its one strict form. Export it again."
)
PSBT_VERSION = refusal_code(
    "psbt-version", COARSE_UNPROVEN, "The PSBT is of version 2. Have the wallet export version 0 (BIP 174)."
)
PSBT_FIELD = refusal_code(
    "psbt-field",
    COARSE_UNPROVEN,
    "The PSBT has a field that payments of this quorum never need. Have it built by another wallet.",
)
PSBT_SIGHASH = refusal_code(
    "psbt-sighash",
    COARSE_UNPROVEN,
    "It asks for a signature that leaves parts of the payment open to change. Do not go on; ask who built it.",
)
PSBT_FINAL = refusal_code(
    "psbt-final", COARSE_UNPROVEN, "An input is finished already. Use the PSBT as it was before it was finalised."
)
PSBT_SIGNATURE = refusal_code(
    "psbt-signature",
    COARSE_UNPROVEN,
    "A signature that is there already is wrong, or by no key of this quorum. Do not go on; ask who signed before.",
)
PSBT_XPUB = refusal_code(
    "psbt-xpub",
    COARSE_UNPROVEN,
    "The PSBT names account keys other than those of this quorum. Compare the wallet's descriptor with the quorum's.",
)
PREVIOUS_MISMATCH = refusal_code(
    "previous-mismatch",
    COARSE_UNPROVEN,
    "An input comes with the previous transaction of another coin. Do not go on; have the wallet examined.",
)
UTXO_MISMATCH = refusal_code(
    "utxo-mismatch",
    COARSE_UNPROVEN,
    "An amount differs from the previous transaction's (a fee attack). Do not go on; have the wallet examined.",
)
DERIVATION = refusal_code(
    "derivation",
    COARSE_UNPROVEN,
    "The keys of an input or output are not this quorum's at one place. Compare the wallet's descriptor.",
)
SCRIPT_MISMATCH = refusal_code(
    "script-mismatch",
    COARSE_UNPROVEN,
    "An input's script is not the one that this quorum has there. Do not go on; have the wallet examined.",
)
CHANGE_FRAUD = refusal_code(
    "change-fraud",
    COARSE_UNPROVEN,
    "An output claims to come back to the quorum and does not. An attack: do not go on; have the wallet examined.",
)
OUTPUT_TYPE = refusal_code(
    "output-type", COARSE_UNPROVEN, "An output has no address that could be shown. Have it built without that output."
)
TRANSACTION_VERSION = refusal_code(
    "transaction-version", COARSE_UNPROVEN, "The transaction is not of version 2. Have it built again."
)
