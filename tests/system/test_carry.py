"""A real appliance that is reached by files alone: `undercroft carry` runs beside it as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from system.test_qr_links import unsigned
from undercroft_demo.lone import INPUTS_EACH, LoneAppliance
from undercroft_demo.played_host import over
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.file_link import FileLink

SECONDS = 60.0


@dataclass(frozen=True)
class Site:
    """An appliance, and the folder that was brought to the machine beside it, which has no home and no key."""

    appliance: LoneAppliance
    line: str
    stick: Path

    def carry(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "undercroft_host.cli.main", "--home", str(self.stick / "no home"), "--json",
                   "carry", str(self.stick), "--to", f"serial:{self.line}", *options]  # fmt: skip
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def carried(self, code: int) -> tuple[list[dict[str, Any]], str]:
        """What one round says on both streams, ended with this exit code."""
        with self.carry() as process:
            said, told = process.communicate(timeout=SECONDS)
        assert process.returncode == code, told
        return json.loads(said), told

    @contextmanager
    def carrying(self) -> Iterator[subprocess.Popen[str]]:
        """It goes on with whatever comes, until it is killed."""
        with self.carry("--wait", "600") as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    stick = folder / "stick"
    stick.mkdir()
    with LoneAppliance.started(folder, "test passphrase, never real") as appliance:
        appliance.owner.rules.insert(0, (r"^PSBT\n", "approve"))
        for step in (appliance.create, appliance.bind, appliance.lock, appliance.unlock, appliance.arm):
            step()
        # From here on the host has no line.
        appliance.link.close()
        with FileLink.open(stick) as link:
            appliance.host.carry = over(link, timeout=SECONDS)
            yield Site(appliance, str(folder.resolve() / "alice-host"), stick)


def wait_until_delivering(process: subprocess.Popen[str], file: str) -> None:
    """It has told that this file is on its way to the appliance."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(f"delivering {file}"):
            return
    raise AssertionError("it ended before")


def test_a_batch_is_signed_although_the_carrier_is_killed_in_the_middle_of_it(site: Site) -> None:
    with ThreadPoolExecutor(1) as pool:
        with site.carrying() as process:
            signing = pool.submit(site.appliance.sign, 1)
            wait_until_delivering(process, "000001-")
        with site.carrying():
            assert len(signing.result(SECONDS)) == INPUTS_EACH
    assert len(list(site.stick.glob("*.request"))) == len(list(site.stick.glob("*.reply"))) == 1


def test_a_psbt_comes_back_signed_and_what_is_none_is_told_with_an_exit_code(site: Site) -> None:
    (site.stick / "payout.psbt").write_bytes(unsigned(site.appliance))
    (site.stick / "bad.psbt").write_bytes(b"hello")
    rows, told = site.carried(code=1)
    assert [(row["request"], row["reply"]) for row in rows] == [
        ("bad.psbt", None),
        ("payout.psbt", "payout.signed.psbt"),
    ]
    assert "1 of 2 files was not delivered" in told
    signed = Psbt.parse((site.stick / "payout.signed.psbt").read_bytes())
    assert [len(each) for each in signed.verified_signatures()] == [1]
    (site.stick / "bad.psbt").unlink()
    assert site.carried(code=0) == ([], "")


def test_attack_a_recorded_request_gets_the_answer_it_had_and_is_signed_no_second_time(site: Site) -> None:
    (request,) = site.stick.glob("*.request")
    reply = request.with_suffix(".reply")
    before = reply.read_bytes()
    recorded = site.stick / "000002-00000000.request"
    recorded.write_bytes(request.read_bytes())
    again = site.stick / request.name.replace("000001", "000003")
    again.write_bytes(request.read_bytes())
    rows, _ = site.carried(code=1)
    assert [(row["request"], row["reply"]) for row in rows] == [
        (recorded.name, None),
        (again.name, again.with_suffix(".reply").name),
    ]
    # A batch that it has signed already gets the same answer, and is signed no second time.
    assert again.with_suffix(".reply").read_bytes() == before
    recorded.unlink()


def test_a_locked_appliance_answers_by_files_too(site: Site) -> None:
    with site.carrying():
        site.appliance.lock()
        assert site.appliance.host.meet().state == "empty"
