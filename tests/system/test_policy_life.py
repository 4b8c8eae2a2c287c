"""One owner tightens a policy while two appliances are armed: at once here, later there, and after a lock too."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_demo.stage import POLICY, Stage

TIGHTER = POLICY.replace("version = 1", "version = 2").replace(
    "hold_above_sats = 155_000_000", "hold_above_sats = 10_000_000", 1
)
LOOSER = POLICY.replace("version = 1", "version = 3")


@pytest.mark.slow
def test_one_owner_tightens_two_armed_appliances_and_only_two_owners_and_time_loosen_them(tmp_path: Path) -> None:
    with Stage.built(tmp_path) as stage:
        stage.prepared()
        operator = stage.operator
        operator("account", "open", "ada")
        stage.deposit("ada", 90_000_000)
        first = operator("policy", "show")["hash"]
        second = stage.approve_policy(TIGHTER, ("alice",))["hash"]
        in_force = {name: operator("appliance", "show", name)["policy"] for name in ("alice", "bob")}
        assert in_force == {"alice": second, "bob": first}
        stage.sites["alice"].owner.wait_for("stricter hold_above_sats: 155000000 -> 10000000", 5)

        order = (
            "--id",
            "w-1",
            "--account",
            "ada",
            "--address",
            stage.node.payer_address(),
            "--amount-sats",
            "30000000",
        )
        operator("withdrawal", "request", *order)
        operator("risk", "run", "--once")
        number = str(operator("payment", "build", "--feerate", "3")["id"])
        operator.run("payment", "send", number, "--to", "alice", "--to", "bob", expect=(6,))
        verdicts = operator("payment", "show", number)["verdicts"]
        assert {one["appliance"]: (one["verdict"], one["policy"]) for one in verdicts} == {
            "alice": ("held", second),
            "bob": ("signed", first),
        }

        # Bob's owner follows; then the two can arm each other again, alice after a lock and by one owner's approval.
        operator("policy", "approve", "bob")
        assert operator("appliance", "show", "bob")["policy"] == second
        operator("appliance", "lock", "alice")
        operator("activation", "open", "alice")
        operator("activation", "grant", "bob", "alice")
        assert operator("appliance", "show", "alice")["policy"] == second

        tested = operator("policy", "test", str(_file(tmp_path, LOOSER)))
        assert (tested["looser"], tested["approvals_needed"]) == (["hold_above_sats"], 2)
        assert [(one["then"], one["draft"]) for one in tested["transactions"]] == [("hold", "sign")]
        stage.approve_policy(LOOSER)
        versions = {one["version"]: one["state"] for one in operator("policy", "show")["versions"]}
        assert versions == {3: "approved", 2: "active", 1: "retired"}
        assert operator("appliance", "show", "alice")["policy"] == second
        stage.sites["bob"].owner.wait_for("LOOSER hold_above_sats: 10000000 -> 155000000", 5)


def _file(folder: Path, text: str) -> Path:
    path = folder / "draft.toml"
    path.write_text(text, encoding="utf-8")
    return path
