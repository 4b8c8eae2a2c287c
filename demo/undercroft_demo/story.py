"""The main job, end to end, as `make demo` tells it. Every figure that it prints was read from a program's answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .intruder import Intruder, with_change_at, with_less_change
from .operator import Outcome
from .owner import Shown
from .stage import PEOPLE, QR, Stage
from .telling import Telling

CUSTOMERS: Final = ("ada", "bela", "chen", "dora", "emil")
DEPOSITS_SATS: Final = (
    60_000_000, 65_000_000, 120_000_000, 70_000_000, 75_000_000, 20_000_000, 50_000_000, 110_000_000
)  # fmt: skip
PAYEES: Final = 25
FROM_CSV: Final = 20
PAYEE_KINDS: Final = ("bech32", "bech32m", "p2sh-segwit", "legacy")
OVER_THE_LIMIT_SATS: Final = 165_000_000
CONFIRMATIONS: Final = 6
FAR_INDEX: Final = 2_000_000_000
OWNER_SECONDS: Final = 120.0
CAMERA_SECONDS: Final = 2.0
_SCREEN_SECONDS: Final = 10.0
RECOMPUTE: Final = Path(__file__).parents[2] / "tools" / "recompute_key.py"


class StoryError(AssertionError):
    """Something came out otherwise than the story says."""


class Story:
    """Tells and checks; raises StoryError as soon as a fact is not as told."""

    def __init__(self, stage: Stage, telling: Telling) -> None:
        self.stage = stage
        self.tell = telling
        self.operator = stage.operator
        self.intruder = Intruder(stage.operator.home, CAMERA_SECONDS if stage.link == QR else 0.0)
        self.refusals: list[str] = []
        self.accounts: set[str] = set()

    def run(self) -> dict[str, Any]:
        """All chapters; returns the counts and sums read back from the chain and the database."""
        self.the_stage()
        self.ceremony()
        self.activation()
        self.deposits()
        first = self.withdrawals()
        self.refusals_of_a_stolen_host(first)
        self.over_the_limit()
        return self.the_books()

    # --- 1 ---------------------------------------------------------------------------------------------------------

    def the_stage(self) -> None:
        self.tell.chapter("A node, three appliances at three sites, a host")
        info = self.stage.node.rpc("getnetworkinfo")
        height = self.stage.node.rpc("getblockcount")
        self.tell.say(f"bitcoind {info['subversion']} on regtest, {height} blocks mined, a payer's wallet funded in it")
        self.tell.say(f"the appliances are {self.stage.made_of}")
        for name, site, region in PEOPLE:
            told = self.stage.sites[name].device.told
            self.tell.say(f"appliance of {name}: {site} ({region}), {told}, {self.stage.sites[name].connection.told}")
        if self.stage.link == QR:
            self.tell.say(
                "between them go QR codes alone, drawn on terminals and read from the pictures of synthetic cameras: "
                "1280 x 720, 15 a second, tilted, blurred, noisy, JPEG; no cable is there"
            )
        self.stage.initialise_host()
        self.tell.shown("the host knows its node and its three appliances; none holds a key yet")

    # --- 2 ---------------------------------------------------------------------------------------------------------

    def ceremony(self) -> None:
        self.tell.chapter("The ceremony: three keys, one quorum, one policy")
        self.stage.sites["carol"].owner.checks = 1
        self.stage.declare_keys()
        self.tell.say(
            "each owner typed name, site, region, dice and a passphrase at the appliance; no key ever left it"
        )
        self._recompute("carol")
        formed = self.stage.form_quorum()
        descriptor = self.operator("quorum", "descriptor")
        self.tell.say(f"the quorum: {descriptor['descriptor']}")
        codes = {name: self._code_on_screen(name) for name in self.stage.sites}
        self._check(set(codes.values()) == {formed["code"]}, f"the owners see different codes: {codes}")
        self.tell.screen("bob", self._excerpt("bob", r"--- Quorum [\s\S]*?\n> "))
        self.tell.shown(f"three owners read out the same code, {formed['code']}, and accepted")
        policy = self.stage.approve_policy()
        self._check(policy["hash"] == self.operator("policy", "show")["hash"], "another policy is active")
        self.tell.shown(f"alice and bob approved the policy {policy['name']!r}, version {policy['version']}")
        self.stage.lock_all()
        self.tell.say("all appliances locked: the keys rest in envelopes only, sealed under their owners' passphrases")
        theirs = self.stage.node.rpc("deriveaddresses", descriptor["receive"], [0, 2])
        mine = [self.operator("address", "issue", self._account(name))["address"] for name in CUSTOMERS[:3]]
        self._check(theirs == mine, "bitcoind derives other addresses")
        self.tell.shown("bitcoind, given the descriptor, derives the same first addresses")

    # --- 3 ---------------------------------------------------------------------------------------------------------

    def activation(self) -> None:
        self.tell.chapter("Activation: two owners, each arms the other")
        self.stage.activate("alice", "bob")
        self.tell.screen("alice", self._excerpt("alice", r"--- Grant [\s\S]*?\n> "))
        for name in ("alice", "bob"):
            shown = self.operator("appliance", "show", name)
            self._check(shown["state"] == "armed", f"{name} is {shown['state']}")
            hours, minutes = divmod(shown["armed_seconds"] // 60, 60)
            self.tell.shown(f"{name}: armed for {hours} h {minutes} min, the key in {shown['memory']} memory")
        shown = self.operator("appliance", "show", "carol")
        self._check(shown["state"] == "empty", f"carol is {shown['state']}")
        self.tell.say("carol's appliance stays empty: two of three are enough")

    # --- 4 ---------------------------------------------------------------------------------------------------------

    def deposits(self) -> None:
        self.tell.chapter("Deposits: paid on chain, seen by the gateway, judged by risk, credited by the treasury")
        amounts = {}
        for position, amount_sats in enumerate(DEPOSITS_SATS):
            account = self._account(CUSTOMERS[position % len(CUSTOMERS)])
            amounts[self.operator("address", "issue", account)["address"]] = amount_sats
        txid = self.stage.node.pay_many(amounts)
        self.tell.say(f"the payer paid {len(amounts)} addresses in transaction {txid}")
        self.stage.sync()
        states = self._states("deposit")
        self._check(set(states) == {"seen"} or set(states) == {"delayed"}, f"credited without confirmation: {states}")
        self.tell.say("unconfirmed: seen, and nothing credited")
        self.stage.node.mine(CONFIRMATIONS)
        self.stage.sync()
        states = self._states("deposit")
        self._check(states == {"credited": len(DEPOSITS_SATS)}, f"deposits: {states}")
        credited = sum(deposit["amount_sats"] for deposit in self.operator("deposit", "list"))
        self._check(credited == sum(DEPOSITS_SATS), f"credited {credited}")
        self.tell.shown(
            f"{len(DEPOSITS_SATS)} deposits, {self.tell.money(credited)}, credited after {CONFIRMATIONS} blocks"
        )

    # --- 5 ---------------------------------------------------------------------------------------------------------

    def withdrawals(self) -> int:
        self.tell.chapter(f"{PAYEES} withdrawals: a CSV file and single requests, one transaction, two signatures each")
        orders = self._orders()
        path = self.stage.directory / "withdrawals.csv"
        rows = [",".join((one["id"], one["account"], one["address"], str(one["amount_sats"]))) for one in orders]
        path.write_text("\n".join(["id,account,address,amount_sats", *rows[:FROM_CSV]]) + "\n", encoding="utf-8")
        self.operator("withdrawal", "import", str(path))
        for one in orders[FROM_CSV:]:
            self._request(one)
        self.tell.say(f"{FROM_CSV} came from {path.name}, {len(orders) - FROM_CSV} one by one; each moved to 'pending'")
        again = self.operator.run("withdrawal", "request", *self._options(orders[-1]))
        self.tell.say(f"the last request once more, same id and content: the same answer (exit {again.exit_code})")
        other = self.operator.run(
            "withdrawal", "request", *self._options({**orders[-1], "amount_sats": 1_000_000}), expect=(4,)
        )
        self.tell.say(f"the same id with another amount: {_error_of(other)} (exit {other.exit_code})")
        self.operator("risk", "run", "--once")
        self._check(self._states("withdrawal") == {"cleared": PAYEES}, f"risk: {self._states('withdrawal')}")
        self.tell.shown(
            f"risk, in a process and with a key of its own, cleared {PAYEES} withdrawals and signed for each"
        )
        payment = self.operator("payment", "build", "--feerate", "5")
        number = payment["id"]
        self.tell.say(
            f"the vault built transaction {payment['txid']}: {len(payment['inputs'])} inputs, "
            f"{len(payment['outputs'])} outputs, fee {self.tell.money(payment['fee_sats'])}; its coins are locked"
        )
        self.operator("payment", "send", str(number), "--to", "alice", "--to", "bob")
        shown = self.operator("payment", "show", str(number))
        self._check(shown["state"] == "signed", f"payment is {shown['state']}")
        self.tell.shown("alice and bob each proved it, judged it, signed it; the host verified every signature")
        self._broadcast(number)
        return int(number)

    # --- 6 ---------------------------------------------------------------------------------------------------------

    def refusals_of_a_stolen_host(self, payment: int) -> None:
        self.tell.chapter("The host is taken over: its vault key is stolen, and used")
        said = self.intruder.replay(payment, "bob")
        self._check(said == "signed", f"the same bytes got another answer: {said}")
        self.tell.say("the recorded batch sent to bob again, byte for byte: the same reply, counted once")
        for name, change in (
            ("change to our own key at index 2 000 000 000, for a ransom", with_change_at(FAR_INDEX)),
            ("10 000 000 sats of the change left to a miner as fee", with_less_change(10_000_000)),
        ):
            said = self.intruder.send_changed(payment, "bob", change)
            self._check(said.startswith("refused"), f"{name}: {said}")
            self.refusals.append(f"{name}: {said}")
            self.tell.shown(f"{name}: {said}")
        self.tell.screen("bob", self._block("bob", "change-index"))
        self.stage.cut_power("bob")
        shown = self.operator("appliance", "show", "bob")
        self._check(shown["state"] == "empty", f"bob is {shown['state']}")
        self.tell.say("bob's appliance loses its power and is switched on again: it is empty")
        self.operator("activation", "open", "bob")
        self.operator("activation", "grant", "alice", "bob")
        said = self.intruder.replay(payment, "bob")
        self._check(said.startswith("refused"), f"replay after a new activation: {said}")
        self.refusals.append(f"replayed: {said}")
        self.tell.shown(f"bob activated it anew, alice's grant carried what was spent; the batch replayed: {said}")

    # --- 7 ---------------------------------------------------------------------------------------------------------

    def over_the_limit(self) -> None:
        self.tell.chapter("A withdrawal over the policy's limit")
        order = {
            "id": "w-over",
            "account": "chen",
            "address": self.stage.node.payer_address(),
            "amount_sats": OVER_THE_LIMIT_SATS,
        }
        self._request(order)
        self.operator("risk", "run", "--once")
        number = str(self.operator("payment", "build", "--feerate", "5")["id"])
        sent = self.operator.run("payment", "send", number, "--to", "alice", "--to", "bob", expect=(6,))
        state = self.operator("payment", "show", number)["state"]
        self._check(state == "held", f"payment is {state}")
        self.refusals.append("over the limit: held")
        self.tell.shown(
            f"{self.tell.money(OVER_THE_LIMIT_SATS)}: the online risk cleared it, both appliances hold it for their "
            f"owners (exit {sent.exit_code})"
        )
        self.tell.screen("alice", self._block("alice", "hold "))
        for name in ("alice", "bob"):
            owner = self.stage.sites[name].owner
            before = owner.mark()
            owner.decline_held()
            owner.wait_for("declined by the owner", OWNER_SECONDS, since=before)
        asked = self.operator.run("payment", "resend", number, "--to", "alice", "--to", "bob", expect=(5,))
        self.tell.say(
            f"both owners look at it and decline; the same batch sent again now says refused (exit {asked.exit_code})"
        )
        self.operator("payment", "cancel", number)
        self.operator("withdrawal", "cancel", "w-over")
        self.tell.say("so the operator can cancel it: its coins are free, its money is the customer's again")

    # --- 8 ---------------------------------------------------------------------------------------------------------

    def the_books(self) -> dict[str, Any]:
        self.tell.chapter("The books and the chain agree")
        result = self.operator("treasury", "reconcile")
        self.tell.shown(
            f"ledger {self.tell.money(result['books_sats'])} = our coins {self.tell.money(result['chain_sats'])} = "
            f"the node's own count {self.tell.money(result['node_sats'])}"
        )
        for name in ("alice", "bob"):
            self.operator("appliance", "log", name)
        self._check(self.operator("audit", "verify")["intact"], "the logs are not whole")
        self.tell.shown("the host's audit chain and the appliances' logs verify: nothing is missing, nothing changed")
        return self._summary(result)

    def _summary(self, reconciled: dict[str, Any]) -> dict[str, Any]:
        node = self.stage.node
        deposits = self.operator("deposit", "list")
        withdrawals = self.operator("withdrawal", "list")
        payments = [one for one in self.operator("payment", "list") if one["state"] == "settled"]
        chain = {one["txid"]: node.rpc("gettransaction", one["txid"], True, wallet="undercroft") for one in payments}
        settled = [one for one in withdrawals if one["state"] == "settled"]
        return {
            "deposits": {"count": len(deposits), "sats": sum(one["amount_sats"] for one in deposits)},
            "withdrawals": {
                "settled": len(settled),
                "sats": sum(one["amount_sats"] for one in settled),
                "cancelled": sum(one["state"] == "cancelled" for one in withdrawals),
            },
            "payments": [
                {"txid": txid, "confirmations": seen["confirmations"]} for txid, seen in sorted(chain.items())
            ],
            "fees_sats": sum(one["fee_sats"] for one in payments),
            "refusals": self.refusals,
            "books_sats": reconciled["books_sats"],
            "chain_sats": reconciled["node_sats"],
        }

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise StoryError(otherwise)

    def _account(self, name: str) -> str:
        if name not in self.accounts:
            self.operator("account", "open", name)
            self.accounts.add(name)
        return name

    def _states(self, noun: str) -> dict[str, int]:
        counted: dict[str, int] = {}
        for one in self.operator(noun, "list"):
            counted[one["state"]] = counted.get(one["state"], 0) + 1
        return counted

    def _orders(self) -> list[dict[str, Any]]:
        wallet: Callable[..., Any] = self.stage.node.rpc
        return [
            {
                "id": f"w-{number:03}",
                "account": CUSTOMERS[number % len(CUSTOMERS)],
                "address": wallet("getnewaddress", "", PAYEE_KINDS[number % len(PAYEE_KINDS)], wallet="payer"),
                "amount_sats": 5_000_000 + 77_777 * number,
            }
            for number in range(1, PAYEES + 1)
        ]

    @staticmethod
    def _options(order: dict[str, Any]) -> tuple[str, ...]:
        return (
            "--id", order["id"], "--account", order["account"], "--address", order["address"],
            "--amount-sats", str(order["amount_sats"]),
        )  # fmt: skip

    def _request(self, order: dict[str, Any]) -> None:
        self.operator("withdrawal", "request", *self._options(order))

    def _broadcast(self, number: int) -> None:
        self.operator("payment", "broadcast", str(number))
        self.tell.say("the node would accept it (testmempoolaccept), so it was broadcast; now it is mined")
        self.stage.node.mine(CONFIRMATIONS)
        self.stage.sync()
        shown = self.operator("payment", "show", str(number))
        self._check(shown["state"] == "settled", f"payment is {shown['state']}")
        self._check(self._states("withdrawal").get("settled") == PAYEES, f"{self._states('withdrawal')}")
        self.tell.shown(f"confirmed and settled: {PAYEES} withdrawals paid, the fee booked as an expense")

    def _recompute(self, name: str) -> None:
        """The first key of this owner was checked and thrown away; a tool of one file computes it again."""
        owner = self.stage.sites[name].owner
        check = self._excerpt(name, r"--- Check [\s\S]*?\n> ")
        shown = Shown.read(f"\n{check}")
        lines = () if shown is None else shown.lines
        groups = [line for line in lines if re.fullmatch(r"[0-9a-f]{4}(-[0-9a-f]{4}){7}", line)]
        system, commitment = "".join(groups[:2]), "".join(groups[2:])
        given = dict(line.rsplit(" ", 1) for line in lines if " " in line)
        arguments = ("--fingerprint", given["Fingerprint"], "--xpub", given["Account key"])
        done = subprocess.run(
            [sys.executable, str(RECOMPUTE), "--network", "regtest", "--system", system, "--commitment", commitment,
             *arguments],
            input=owner.rolls[0], capture_output=True, text=True, check=False,
        )  # fmt: skip
        self._check(done.returncode == 0 and done.stdout.count("agrees") == 3, f"{done.stdout}{done.stderr}")
        self.tell.shown(
            f"{name} threw one key away to check it: tools/recompute_key.py gets the same commitment, fingerprint and "
            "account key from her dice and the revealed bytes"
        )

    def _code_on_screen(self, name: str) -> str:
        found = self.stage.sites[name].owner.wait_for(r"Quorum code ([0-9a-f-]{39})", _SCREEN_SECONDS)
        return found[1]

    def _excerpt(self, name: str, pattern: str) -> str:
        return self.stage.sites[name].owner.wait_for(pattern, _SCREEN_SECONDS)[0].removesuffix("\n> ")

    def _block(self, name: str, word: str) -> str:
        """The newest block on an owner's screen that holds this word, once there is one."""
        self.stage.sites[name].owner.wait_for(re.escape(word), _SCREEN_SECONDS)
        blocks = self.stage.sites[name].owner.transcript.split("\n--- ")
        found = next(block for block in reversed(blocks) if word in block)
        return "\n".join(line for line in f"--- {found}".splitlines() if not line.startswith("undercroft>"))


def _error_of(outcome: Outcome) -> str:
    return str(json.loads(outcome.said)["error"]["message"])


def last_line(summary: dict[str, Any]) -> str:
    """The summary as one line of JSON with sorted keys."""
    return json.dumps(summary, sort_keys=True)
