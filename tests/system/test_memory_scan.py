"""No secret of a real appliance is in any process's memory at any stage, but in the guarded pages of its keeper.

All four processes (supervisor, keeper, panel, port), every map, every form, from a new key over a thousand signed
inputs to a lock. With mlock it can be seen what the guarded pages hold; those of memfd_secret can be read by nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from undercroft_appliance.devtools.key_secrets import KEPT, KeySecrets
from undercroft_appliance.devtools.naive_run import STAGES as NAIVE_STAGES
from undercroft_appliance.devtools.naive_run import scans_of_naive_signer
from undercroft_appliance.devtools.scan_table import named
from undercroft_appliance.devtools.secret_forms import Secret, forms_of
from undercroft_demo.lone import LoneAppliance
from undercroft_demo.memscan import PASSPHRASE, STAGES, StageScan, scans_of_appliance
from undercroft_demo.old_kernel import without_memfd_secret
from undercroft_demo.played_keys import NETWORK

PROCESSES = 4
HELD = {"mix": {"seed"}, "bind": KEPT, "unlock": KEPT, "arm": KEPT, "sign": KEPT}
"""What the guarded pages hold at each stage; at the others nothing."""
NOBODY_READS = ("[v", "/secretmem")
"""The kernel's own pages (vvar, vsyscall), and secret memory."""

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root may look into a hardened process")


def scanned(directory: Path) -> tuple[list[StageScan], str]:
    """All stages, and what the terminal and the log show of it."""
    with LoneAppliance.started(directory, PASSPHRASE) as appliance:
        scans = list(scans_of_appliance(appliance, inputs=1000))
        behind = KeySecrets(appliance.envelopes[-1], PASSPHRASE, NETWORK)
        told = appliance.owner.transcript.encode() + appliance.device.log.read_bytes()
        return scans, shown(told, behind.everything(appliance.envelopes))


def shown(text: bytes, secrets: Iterable[Secret]) -> str:
    """Which secrets stand in a text, in any form."""
    return ", ".join(f"{form.name} of {form.secret}" for one in secrets for form in forms_of(one) if form.data in text)


def assert_clean(scans: list[StageScan]) -> None:
    assert tuple(one.stage for one in scans) == STAGES
    for one in scans:
        assert one.wrong == (), f"{one.stage}:\n" + "\n".join(named(one.wrong))
        assert len(one.pids) == PROCESSES
        unread = [str(region) for _, region in one.found.unreadable if not region.name.startswith(NOBODY_READS)]
        assert unread == []
    # The keepers that held a secret are gone, and what was theirs with them.
    for before, after in (("mix", 1), ("bind", 3), ("sign", 7)):
        assert scans[STAGES.index(before)].keeper not in scans[after].pids


def test_attack_no_secret_is_found_in_any_process_of_a_real_appliance(tmp_path: Path) -> None:
    scans, told = scanned(tmp_path)
    if {one.memory for one in scans} != {"memfd_secret"}:
        pytest.skip("this kernel has no memfd_secret; the other test scans what is in its place")
    assert_clean(scans)
    for one in scans:
        assert one.found.guarded == ()
        assert [pid for pid, region in one.found.unreadable if region.guarded] == [one.keeper]
    assert told == ""


@pytest.mark.slow
def test_attack_without_memfd_secret_the_secrets_lie_in_the_guarded_pages_of_the_keeper_only(tmp_path: Path) -> None:
    scans, told = without_memfd_secret(lambda: scanned(tmp_path))
    assert {one.memory for one in scans} == {"mlock"}
    assert_clean(scans)
    for one in scans:
        assert {copy.secret for copy in one.found.guarded} == HELD.get(one.stage, set()), one.stage
    assert told == ""


def test_the_scan_finds_a_naive_signer_at_every_stage() -> None:
    found = dict(scans_of_naive_signer(50))
    assert tuple(found) == NAIVE_STAGES
    assert {"passphrase", "seed", "sealing key 0", "account key"} <= {copy.secret for copy in found["unlock"].outside}
    assert any(copy.secret.startswith("key of input") for copy in found["sign"].outside)
    assert len(found["lock"].outside) > 10
