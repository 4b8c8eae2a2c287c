"""The demo's optical bench: the real host command and a real appliance that nothing but pictures joins."""

from __future__ import annotations

from pathlib import Path

import cv2

from undercroft_demo.device import Device
from undercroft_demo.operator import Operator
from undercroft_demo.optical_bench import HEIGHT, WIDTH, optical_bench
from undercroft_demo.owner import ScriptedOwner
from undercroft_demo.stage import READY, SAMPLE, START_SECONDS


def test_host_and_appliance_talk_by_pictures_alone(tmp_path: Path) -> None:
    with (
        optical_bench(tmp_path, ["alice"]) as paths,
        Device.started(tmp_path, "alice", cable=paths["alice"]) as device,
        ScriptedOwner(device.master_fd, "alice", "Zurich vault", "europe", "test passphrase, never real") as owner,
    ):
        owner.wait_for(READY, START_SECONDS)
        command = Path(f"/proc/{device.pid_of('port')}/cmdline").read_text(encoding="utf-8").split("\0")
        assert "--line" not in command
        operator = Operator(tmp_path / "host")
        node = ("--rpc-url", "http://127.0.0.1:1", "--rpc-cookie", str(tmp_path / "cookie"))
        operator("init", "--network", "regtest", *node)
        operator("appliance", "add", "alice", "--link", paths["alice"].host_link)
        assert operator("appliance", "show", "alice")["state"] == "empty"
        # A declaration takes several codes, and its owner's time in between.
        assert operator("quorum", "declare", "alice")["site"] == "Zurich vault"
        assert operator("appliance", "show", "alice")["state"] == "empty"
    assert device.log.read_text(encoding="utf-8") == ""
    sample = cv2.imread(str(tmp_path / SAMPLE), cv2.IMREAD_GRAYSCALE)
    assert sample is not None
    assert sample.shape == (HEIGHT, WIDTH)


def test_a_bench_ends_with_whoever_started_it(tmp_path: Path) -> None:
    with optical_bench(tmp_path, ["alice", "bob"]) as paths:
        assert [path.name for path in paths.values()] == ["alice", "bob"]
        assert (tmp_path / "bob-host-camera").is_fifo()
    assert not (tmp_path / "bob-host-codes").exists(), "its terminal is gone"
