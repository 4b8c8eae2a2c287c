"""What the owner sees of a policy's life: what it changes, what of that is looser, who approved it and when."""

from __future__ import annotations

from typing import Any, Final

from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import AddressError
from undercroft_protocol.messages import Anomaly, Hours, Policy, Window, changed, grouped_code, loosened, loosens_window

from .policies import Authority
from .text import moment, wrapped

LOOSER: Final = "LOOSER"
STRICTER: Final = "stricter"
_MINUTES: Final = 60


def changes(before: Policy, after: Policy, network: Network) -> tuple[str, ...]:
    """Each rule that differs, old -> new, with ``LOOSER`` or ``stricter`` before it."""
    names, looser = changed(before, after), loosened(before, after)
    lines = [f"Against version {before.version}, code {grouped_code(before.hash)}:"]
    if not names:
        lines.append("  no rule changes")
    for name in names:
        mark = LOOSER if name in looser else STRICTER
        old, new = getattr(before, name), getattr(after, name)
        if name == "windows":
            lines.extend(_windows(old, new))
        elif name == "allowlist":
            lines.append(f"  {mark} {name}: {_count(old)} -> {_count(new)}")
            lines.extend(_allowlist(old, new, network))
        else:
            lines.append(f"  {mark} {name}: {_text(old)} -> {_text(new)}")
    return wrapped(lines)


def authority(policy: Policy, why: Authority, network: Network) -> tuple[str, ...]:
    """Who approved a policy that is about to be used, since when, and what it changes."""
    lines = [f"Approved by {', '.join(why.approvers)}"]
    if why.since:
        lines.append(f"By two owners since {moment(why.since)}")
    if why.before is not None:
        lines.extend(changes(why.before, policy, network))
    elif policy.version > 1:
        lines.append("The policy before it was not brought, so what it changes is not known.")
    return wrapped(lines)


def _windows(before: tuple[Window, ...], after: tuple[Window, ...]) -> list[str]:
    old, new = {one.seconds: one for one in before}, {one.seconds: one for one in after}
    lines = []
    for seconds in sorted({*old, *new}):
        one, other = old.get(seconds), new.get(seconds)
        if one != other:
            mark = LOOSER if loosens_window(one, other) else STRICTER
            lines.append(f"  {mark} window of {seconds} s: {_text(one)} -> {_text(other)}")
    return lines


def _allowlist(before: tuple[bytes, ...] | None, after: tuple[bytes, ...] | None, network: Network) -> list[str]:
    old, new = set(before or ()), set(after or ())
    added = [f"    + {_address(script, network)}" for script in sorted(new - old)]
    return [*added, *(f"    - {_address(script, network)}" for script in sorted(old - new))]


def _count(listed: tuple[bytes, ...] | None) -> str:
    return "no rule" if listed is None else f"{len(listed)} addresses"


def _address(script: bytes, network: Network) -> str:
    try:
        return address_of(script, network)
    except AddressError:
        return f"script {script.hex()}"


def _text(value: Any) -> str:
    match value:
        case None:
            return "no rule"
        case Window():
            counts = f"{value.hold_above_count or 'any'} / {value.refuse_above_count or 'any'} transactions"
            return f"{value.hold_above_sats} / {value.refuse_above_sats} sats, {counts}"
        case Hours():
            return f"{_time(value.from_minute)} to {_time(value.until_minute)} UTC"
        case Anomaly():
            return (
                f"after {value.least_sample}, {value.median_factor} times the median, "
                f"{value.new_payees_ppm} millionths to new payees"
            )
        case tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def _time(minute: int) -> str:
    return f"{minute // _MINUTES:02}:{minute % _MINUTES:02}"
