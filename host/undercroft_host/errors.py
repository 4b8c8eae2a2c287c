"""Everything the host can answer with instead of a result, each with a stable code and the exit code of its kind.

A class per cause; its docstring is the message, ``detail`` says which, ``hint`` says what to do next. Nothing that went
wrong is ever half done: whoever raises one of these has written nothing, or says so.
"""

from __future__ import annotations

from .error_kinds import (
    BackendUnreachable,
    Conflict,
    Failure,
    HostError,
    IntegrityAlarm,
    NotFound,
    RefusedByRule,
    UsageProblem,
    WaitingForApproval,
)

# The kinds can be imported from here, too.
__all__ = [
    "BackendUnreachable",
    "Conflict",
    "Failure",
    "HostError",
    "IntegrityAlarm",
    "NotFound",
    "RefusedByRule",
    "UsageProblem",
    "WaitingForApproval",
]

# --- store ------------------------------------------------------------------------------------------------------


class DatabaseProblem(Failure):
    """The database cannot be used."""

    code = "database"


class DatabaseEmpty(DatabaseProblem):
    """The database has no tables yet."""

    code = "database-empty"
    default_hint = "create them with: undercroft init"


class DatabaseOlder(DatabaseProblem):
    """The database was written by an older version of Undercroft."""

    code = "database-older"
    default_hint = "back it up, then bring it up to date with: undercroft init"


class DatabaseNewer(DatabaseProblem):
    """The database was written by a newer version of Undercroft."""

    code = "database-newer"
    default_hint = "use that version; this one would not understand what is in it"


class DatabaseBusy(BackendUnreachable):
    """Another process keeps the database locked."""

    code = "database-busy"
    default_hint = "try again; if it stays so, look which process holds it"


class AuditBroken(IntegrityAlarm):
    """The audit log was changed after it was written."""

    code = "audit-broken"
    default_hint = "keep this database as evidence and compare it with a backup"


# --- gateway ----------------------------------------------------------------------------------------------------


class NodeUnreachable(BackendUnreachable):
    """The Bitcoin node does not answer."""

    code = "node-unreachable"
    default_hint = "is bitcoind running, and are its address and cookie file right in the configuration?"


class NodeBusy(BackendUnreachable):
    """The Bitcoin node is not ready."""

    code = "node-busy"
    default_hint = "wait until it has started and finished its scans, then try again"


class NodeRefused(Failure):
    """The Bitcoin node refused a call."""

    code = "node-refused"

    def __init__(self, method: str, node_code: int, node_message: str) -> None:
        self.method = method
        self.node_code = node_code
        self.node_message = node_message
        super().__init__(f"{method}: {node_message} ({node_code})")


class NodeAnswerStrange(IntegrityAlarm):
    """The Bitcoin node gave an answer that cannot be right."""

    code = "node-answer"


class WrongChain(Conflict):
    """The Bitcoin node is on another chain."""

    code = "wrong-chain"
    default_hint = "point the configuration at a node of the quorum's network"


class ChainForeign(IntegrityAlarm):
    """The node's chain shares no block with the chain followed so far."""

    code = "chain-foreign"
    default_hint = "the node's data was replaced, or this is not the node that was followed"


class ChainBehind(Conflict):
    """The node has moved on since the chain was last followed."""

    code = "chain-behind"
    default_hint = "follow the chain first: undercroft gateway sync"


class WatchWalletWrong(IntegrityAlarm):
    """The node's watch-only wallet is not the quorum's."""

    code = "watch-wallet"
    default_hint = "remove that wallet from the node; it is made anew from the quorum"


class BroadcastRefused(Failure):
    """The node does not take this transaction."""

    code = "broadcast-refused"
    default_hint = "its signed bytes are kept; when the cause is gone, broadcast it again"


# --- vault ------------------------------------------------------------------------------------------------------


class AmountInvalid(UsageProblem):
    """This is not an amount in whole satoshis."""

    code = "amount"


class AddressInvalid(UsageProblem):
    """This is not an address that can be paid."""

    code = "address"


class NameInvalid(UsageProblem):
    """This cannot be a name: 1 to 40 letters, digits, or any of . _ : -"""

    code = "name"


class FeerateInvalid(UsageProblem):
    """This feerate cannot be meant."""

    code = "feerate"


class CsvInvalid(UsageProblem):
    """The CSV file is refused as a whole."""

    code = "csv"
    default_hint = "nothing of it was taken; correct it and import it again"


class AccountUnknown(NotFound):
    """There is no such account."""

    code = "account-unknown"


class WithdrawalUnknown(NotFound):
    """There is no such withdrawal."""

    code = "withdrawal-unknown"


class PaymentUnknown(NotFound):
    """There is no such payment."""

    code = "payment-unknown"


class QuorumUnknown(NotFound):
    """The vault does not know this quorum."""

    code = "quorum-unknown"


class NothingToPay(NotFound):
    """No withdrawal is cleared for payment."""

    code = "nothing-to-pay"


class WithdrawalConflict(Conflict):
    """This withdrawal id was used before, with other content."""

    code = "withdrawal-conflict"
    default_hint = "what was asked first stands; use a new id for something else"


class WithdrawalState(Conflict):
    """The withdrawal is not in a state that allows this."""

    code = "withdrawal-state"


class PaymentState(Conflict):
    """The payment is not in a state that allows this."""

    code = "payment-state"


class PaymentSigned(Conflict):
    """A signature for this payment exists or may exist, so it cannot be taken back."""

    code = "payment-signed"
    default_hint = "carry it out; only spending one of its coins otherwise would take it back"


class EarlierPayment(Conflict):
    """An earlier payment of this withdrawal was taken back, and may still reach the network."""

    code = "earlier-payment"
    default_hint = (
        "pay it again (that spends a coin of the earlier one), or wait until one of those is spent 6 blocks deep"
    )


class SignaturesMissing(WaitingForApproval):
    """The payment does not have the signatures it needs."""

    code = "signatures-missing"


class InsufficientFunds(RefusedByRule):
    """The account has less than this."""

    code = "insufficient-funds"


class CoinsExhausted(RefusedByRule):
    """The spendable coins do not reach for this."""

    code = "coins-exhausted"
    default_hint = "wait for confirmations, refill the hot wallet, or pay fewer withdrawals at once"


class OwnAddress(RefusedByRule):
    """This address is the vault's own."""

    code = "own-address"


class AmountDust(RefusedByRule):
    """The network does not relay so small an output."""

    code = "amount-dust"


class PaymentTampered(IntegrityAlarm):
    """The records of a payment contradict each other."""

    code = "payment-tampered"


# --- treasury ---------------------------------------------------------------------------------------------------


class LedgerProblem(IntegrityAlarm):
    """This entry cannot stand in the books."""

    code = "ledger"


class LedgerConflict(Conflict):
    """This event is in the books already, with other lines."""

    code = "ledger-conflict"


class BooksWrong(IntegrityAlarm):
    """Books and chain differ, and nothing explains it."""

    code = "books-wrong"
    default_hint = "stop payments until the difference is understood"


# --- configuration and keys -------------------------------------------------------------------------------------


class ConfigurationProblem(Failure):
    """The host is set up wrongly."""

    code = "configuration"


class KeyFileProblem(Failure):
    """This key file cannot be used."""

    code = "key-file"


class NotInitialised(NotFound):
    """There is no Undercroft home here."""

    code = "not-initialised"
    default_hint = "make one with: undercroft init, or name it with --home"


# --- custody and desk -------------------------------------------------------------------------------------------


class LinkInvalid(UsageProblem):
    """This is not a link to an appliance."""

    code = "link"
    default_hint = "a link is serial:/dev/…, the path of a serial device; nothing else is allowed"


class PolicyInvalid(UsageProblem):
    """This is not a policy."""

    code = "policy-invalid"


class ReplayMissing(Failure):
    """Past batches can only be judged again by the appliance's own code, and it is not installed here."""

    code = "replay-missing"
    default_hint = "install the package undercroft-appliance beside undercroft-host; it needs no key and no device"


class ApplianceUnknown(NotFound):
    """There is no such appliance."""

    code = "appliance-unknown"
    default_hint = "undercroft appliance list shows those that are known"


class ApplianceForeignQuorum(Conflict):
    """The appliance answers for another quorum or another owner."""

    code = "appliance-foreign"
    default_hint = "is the right appliance on this line? undercroft appliance show NAME"


class ApplianceState(Conflict):
    """The appliance is not in a state that allows this."""

    code = "appliance-state"


class ActivationUnknown(NotFound):
    """There is no such open activation."""

    code = "activation-unknown"
    default_hint = "open one with: undercroft activation open NAME"


class SitesEqual(RefusedByRule):
    """Two owners at one site cannot activate each other (rule O03)."""

    code = "sites-equal"


class Frozen(RefusedByRule):
    """The quorum is frozen."""

    code = "frozen"
    default_hint = "stop every appliance: undercroft freeze; going on takes a fresh activation"


class ApplianceRefused(RefusedByRule):
    """The appliance refused."""

    code = "appliance-refused"
    default_hint = "the exact reason is on the owner's screen and in the appliance's log"


class LogIncomplete(IntegrityAlarm):
    """Parts of an appliance's log are missing."""

    code = "log-incomplete"
    default_hint = "was it switched off before its log was fetched? ask its owner what was signed then"


class PaymentRefused(RefusedByRule):
    """An appliance refused to sign."""

    code = "payment-refused"
    default_hint = "the exact reason is on the owner's screen; undercroft payment show ID tells each verdict"


class PaymentHeld(WaitingForApproval):
    """An appliance holds the payment for its owner."""

    code = "payment-held"
    default_hint = "when the owner has decided: undercroft payment resend ID --to NAME"


class ApplianceSilent(BackendUnreachable):
    """The appliance does not answer."""

    code = "appliance-silent"
    default_hint = "is it switched on, and does its owner have a question on the screen?"


class ApplianceUnplugged(BackendUnreachable):
    """The appliance's line cannot be opened."""

    code = "appliance-unplugged"
    default_hint = "check the cable and the device path: undercroft appliance list"
