"""The main job as `make demo` tells it: real node, real appliance processes on pseudo-terminals, the real CLI."""

from __future__ import annotations

import io
import json
from pathlib import Path

from undercroft_demo.stage import Stage
from undercroft_demo.story import DEPOSITS_SATS, PAYEES, Story, last_line
from undercroft_demo.telling import Telling


def test_the_main_job_runs_end_to_end_and_leaves_no_process_behind(tmp_path: Path) -> None:
    told = io.StringIO()
    with Stage.built(tmp_path) as stage:
        devices = [site.device for site in stage.sites.values()]
        summary = json.loads(last_line(Story(stage, Telling(told)).run()))
        settled = stage.operator("withdrawal", "list")
    assert [device.pids() for device in devices] == [[], [], []]
    assert stage.node.process.poll() is not None
    assert summary["deposits"] == {"count": len(DEPOSITS_SATS), "sats": sum(DEPOSITS_SATS)}
    paid_sats = sum(one["amount_sats"] for one in settled if one["state"] == "settled")
    assert summary["withdrawals"] == {"settled": PAYEES, "sats": paid_sats, "cancelled": 1}
    assert [payment["confirmations"] >= 1 for payment in summary["payments"]] == [True]
    assert summary["books_sats"] == summary["chain_sats"] == sum(DEPOSITS_SATS) - paid_sats - summary["fees_sats"]
    assert len(summary["refusals"]) == 4
    assert "Traceback" not in "".join((tmp_path / f"{name}.log").read_text() for name in ("alice", "bob", "carol"))
