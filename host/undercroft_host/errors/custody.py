"""What appliances, their quorum and their policies can answer with instead of a result."""

from __future__ import annotations

from .kinds import Conflict, Failure, IntegrityAlarm, NotFound, RefusedByRule, UsageProblem, WaitingForApproval


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
