"""The status of the host on a dozen lines, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_LABEL_WIDTH: Final = 13
_CUSTOMERS: Final = "liability:customer:"


def glance(data: Mapping[str, Any]) -> str:
    """The data of ``undercroft status`` as text; amounts in sats, grouped by thousands."""
    lines = [
        ("chain", _chain(data)),
        ("quorum", _quorum(data["quorum"])),
        ("policy", _policy(data["policy"])),
        ("coins", _coins(data["coins"])),
        ("deposits", _states(data["deposits"], "sats")),
        ("withdrawals", _states(data["withdrawals"], "sats")),
        ("payments", _states(data["payments"], "fee_sats", "fees")),
        ("books", _books(data["books"])),
    ]
    text = [f"{label:<{_LABEL_WIDTH}}{value}" for label, value in lines]
    for order in data["frozen"]:
        text.insert(0, f"{'FROZEN':<{_LABEL_WIDTH}}by {order['by']}: {order['reason']}; stop all: undercroft freeze")
    for number, appliance in enumerate(data["appliances"]):
        label = "appliances" if number == 0 else ""
        text.append(f"{label:<{_LABEL_WIDTH}}{_appliance(appliance)}")
    if not data["appliances"]:
        text.append(f"{'appliances':<{_LABEL_WIDTH}}none yet: undercroft appliance add NAME --link serial:PATH")
    return "\n".join(text)


def _chain(data: Mapping[str, Any]) -> str:
    chain = data["chain"]
    followed = (
        "nothing followed yet" if chain["followed_height"] is None else f"followed to {_sats(chain['followed_height'])}"
    )
    if chain["node"] != "ok":
        return f"{data['network']}, {followed}; NODE AWAY: {chain['node']}"
    busy = ", still catching up" if chain["catching_up"] else ""
    return f"{data['network']}, {followed}; the node is at {_sats(chain['node_height'])}{busy}"


def _quorum(quorum: Mapping[str, Any] | None) -> str:
    return "none yet: undercroft quorum form" if quorum is None else f"{quorum['code']}, {quorum['state']}"


def _policy(policy: Mapping[str, Any] | None) -> str:
    if policy is None:
        return "none yet: undercroft policy propose FILE"
    return f"{policy['name']}, version {policy['version']}, {policy['state']}"


def _coins(coins: Mapping[str, int]) -> str:
    text = f"{coins['count']}, together {_sats(coins['sats'])} sats"
    for word in ("locked", "frozen"):
        if coins[word]:
            text += f"; {coins[word]} {word} with {_sats(coins[f'{word}_sats'])}"
    return text


def _states(rows: Iterable[Mapping[str, Any]], amount: str, unit: str = "sats") -> str:
    return ", ".join(f"{row['count']} {row['state']} ({_sats(row[amount])} {unit})" for row in rows) or "none"


def _books(books: Mapping[str, int]) -> str:
    if not books:
        return "empty"
    customers = -sum(sats for name, sats in books.items() if name.startswith(_CUSTOMERS))
    return (
        f"hot wallet {_sats(books.get('asset:hot', 0))}, customers {_sats(customers)}, "
        f"pending {_sats(-books.get('liability:pending', 0))}, fees paid {_sats(books.get('expense:network-fees', 0))}"
    )


def _appliance(appliance: Mapping[str, Any]) -> str:
    state = appliance.get("state", f"last known as {appliance['last_state']}")
    text = f"{appliance['name']}: {state}"
    if appliance.get("armed_seconds"):
        text += f" for {_span(appliance['armed_seconds'])}"
    if appliance.get("held"):
        text += f", {appliance['held']} held for the owner"
    return text


def _span(seconds: int) -> str:
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _sats(number: int) -> str:
    return f"{number:,}".replace(",", " ")
