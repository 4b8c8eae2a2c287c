"""What withdrawals and payments can answer with instead of a result."""

from __future__ import annotations

from .kinds import Conflict, IntegrityAlarm, NotFound, RefusedByRule, UsageProblem, WaitingForApproval


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
