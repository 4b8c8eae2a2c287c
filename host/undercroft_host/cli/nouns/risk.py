"""``undercroft risk``."""

from __future__ import annotations

import time
from typing import Any

import click

from ...errors import NotFound
from ...risk.deposits import judge_deposits
from ...risk.ruleset import RuleSet, load_rules
from ...risk.verdicts import verdicts_on
from ...risk.withdrawals import judge_withdrawals
from ...store.tables import RiskVerdict
from ..app import App, pass_app
from ..options import SECONDS
from ..output import moment
from ..program import Noun

_ACTOR = "risk"


@click.group("risk", cls=Noun)
def command() -> None:
    """The online risk service: a process of its own with a key of its own."""


@command.command("run")
@click.option("--once", is_flag=True, help="Judge what is there, and end.")
@click.option("--interval", type=SECONDS, default=10, show_default=True, help="Seconds between two rounds.")
@pass_app
def run(app: App, once: bool, interval: int) -> None:
    """Judge deposits and withdrawals and sign clearances; until interrupted, or --once."""
    while True:
        rules = load_rules(app.config.rules_file)
        counts = _round(app, rules)
        if once:
            app.put({"ruleset": rules.hash.hex(), **counts})
            return
        if any(counts.values()):
            app.note(", ".join(f"{name}: {said or 'none'}" for name, said in counts.items()))
        time.sleep(interval)


@command.command("show")
@click.argument("subject")
@pass_app
def show(app: App, subject: str) -> None:
    """Why: every verdict on a withdrawal (its id) or a deposit (txid:vout), newest first, with each rule's numbers."""
    with app.store.read() as session:
        verdicts = [verdict_data(verdict) for verdict in verdicts_on(session, subject)]
    if not verdicts:
        raise NotFound(f"a verdict on {subject}")
    app.put({"subject": subject, "verdicts": verdicts}, text="\n".join(explain(one) for one in verdicts))


def verdict_data(verdict: RiskVerdict) -> dict[str, Any]:
    """A verdict for output."""
    return {
        "time": moment(verdict.time),
        "outcome": verdict.outcome,
        "ruleset": verdict.ruleset_hash.hex(),
        "findings": verdict.findings,
    }


def explain(verdict: dict[str, Any]) -> str:
    """A verdict for people: a line for each rule."""
    lines = [f"{verdict['time']}  {verdict['outcome']}  by rule set {verdict['ruleset'][:16]}"]
    lines += [f"  {one['rule']}  {one['outcome']:<5}  {one['text']}" for one in verdict["findings"]]
    return "\n".join(lines)


def _round(app: App, rules: RuleSet) -> dict[str, Any]:
    signer = app.risk_signer()
    with app.store.begin(_ACTOR) as session:
        deposits = judge_deposits(session, rules, clock=app.clock)
    with app.store.begin(_ACTOR) as session:
        withdrawals = judge_withdrawals(session, rules, signer, app.config.network, clock=app.clock)
    return {"deposits": deposits, "withdrawals": withdrawals}
