"""What a new policy loosens: one table says for each rule which direction is the tighter one.

Who may put a policy in force, and how soon, hangs on this: whatever is not plainly tighter counts as looser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ..codec import fields_of
from .policy import ANSWERS, DAY_MINUTES, Anomaly, Hours, Policy, Window

Tighter: TypeAlias = Callable[[Any, Any], bool]
"""Whether the second value lets nothing through that the first one stops."""

NEVER_LOCKS: Final = 0
"""``idle_seconds``: the longest idle time of all."""


def loosened(before: Policy, after: Policy) -> tuple[str, ...]:
    """The names of the rules that ``after`` loosens, in the order of ``Policy``; empty: it tightens, or is equal."""
    names = [name for name, is_tighter in RULES.items() if not is_tighter(_value(before, name), _value(after, name))]
    return tuple(names)


def changed(before: Policy, after: Policy) -> tuple[str, ...]:
    """The names of the rules that differ, in the order of ``Policy``; version, ``replaces`` and name are no rules."""
    names = [one.name for one in fields_of(Policy) if one.name not in NAMING]
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def loosens_window(before: Window | None, after: Window | None) -> bool:
    """Whether a window of so many seconds is looser afterwards; None: there is no such window."""
    return not _absent_is_looser(_window)(before, after)


def _value(policy: Policy, name: str) -> Any:
    if name == "most_consolidation_feerate_sat_per_kvb" and policy.most_consolidation_feerate_sat_per_kvb is None:
        # Without a cap of their own, consolidations have the cap of all. Attack: a "new" cap above that one.
        return policy.most_feerate_sat_per_kvb
    return getattr(policy, name)


def _equal(before: Any, after: Any) -> bool:
    return bool(before == after)


def _lower(before: int, after: int) -> bool:
    return after <= before


def _higher(before: int, after: int) -> bool:
    return after >= before


def _absent_is_looser(is_tighter: Tighter) -> Tighter:
    def compare(before: Any, after: Any) -> bool:
        return before is None or (after is not None and is_tighter(before, after))

    return compare


def _idle(before: int, after: int) -> bool:
    return before == NEVER_LOCKS or (after != NEVER_LOCKS and after <= before)


def _subset(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    return set(after) <= set(before)


def _allowlist(before: tuple[bytes, ...] | None, after: tuple[bytes, ...] | None) -> bool:
    if after is None:
        return before is None
    # Attack: one owner "tightens" by a list of one address, the own one. Who is listed is paid from a PSBT without a
    # clearance, so a first list lets through what was held before.
    return before is not None and set(after) <= set(before)


def _answer(before: str, after: str) -> bool:
    return ANSWERS.index(after) >= ANSWERS.index(before)


def _windows(before: tuple[Window, ...], after: tuple[Window, ...]) -> bool:
    # Attack: an hour's limit becomes a day's limit of the same number, and most of the day's payments leave at once.
    by_seconds = {window.seconds: window for window in after}
    return not any(loosens_window(window, by_seconds.get(window.seconds)) for window in before)


def _window(before: Window, after: Window) -> bool:
    return all(is_tighter(getattr(before, name), getattr(after, name)) for name, is_tighter in WINDOW.items())


def _hours(before: Hours, after: Hours) -> bool:
    return _minutes(after) <= _minutes(before)


def _minutes(hours: Hours) -> frozenset[int]:
    length = (hours.until_minute - hours.from_minute) % DAY_MINUTES
    return frozenset((hours.from_minute + minute) % DAY_MINUTES for minute in range(length))


def _anomaly(before: Anomaly, after: Anomaly) -> bool:
    return all(is_tighter(getattr(before, name), getattr(after, name)) for name, is_tighter in ANOMALY.items())


NAMING: Final = frozenset({"version", "replaces", "name"})
"""Fields by which people and programs name a policy; they rule nothing."""

WINDOW: Final[Mapping[str, Tighter]] = MappingProxyType(
    {
        "seconds": _equal,
        "hold_above_sats": _lower,
        "refuse_above_sats": _lower,
        "hold_above_count": _absent_is_looser(_lower),
        "refuse_above_count": _absent_is_looser(_lower),
    }
)

ANOMALY: Final[Mapping[str, Tighter]] = MappingProxyType(
    {
        # The sooner there are enough to compare with, the sooner the rule speaks.
        "least_sample": _lower,
        "median_factor": _lower,
        "new_payees_ppm": _lower,
    }
)

RULES: Final[Mapping[str, Tighter]] = MappingProxyType(
    {
        "quorum_id": _equal,
        "hold_above_sats": _lower,
        "refuse_above_sats": _lower,
        "windows": _windows,
        "most_activation_sats": _absent_is_looser(_lower),
        "most_lifetime_sats": _absent_is_looser(_lower),
        "most_fee_sats": _lower,
        "most_fee_ppm": _lower,
        "most_feerate_sat_per_kvb": _lower,
        "most_consolidation_feerate_sat_per_kvb": _lower,
        "most_inputs": _lower,
        "most_payees": _lower,
        "most_transactions": _lower,
        "payee_types": _subset,
        "allowlist": _allowlist,
        "unlisted": _answer,
        "uncleared": _answer,
        "least_self_ppm": _absent_is_looser(_higher),
        "equal_payees": _absent_is_looser(_equal),
        "sweep_to": _absent_is_looser(_equal),
        "change_gap": _lower,
        "most_height_step": _lower,
        "activation_seconds": _lower,
        "idle_seconds": _idle,
        "hours": _absent_is_looser(_hours),
        "anomaly": _absent_is_looser(_anomaly),
        "loosening_seconds": _higher,
    }
)
"""For each rule, which change of it is a tightening."""
