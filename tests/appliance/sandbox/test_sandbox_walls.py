"""Each process behind its walls: every forbidden call is tried, and the kernel refuses it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.sandbox import Walls, landlock, seccomp, swap, syscalls
from undercroft_appliance.sandbox.process import USERS
from undercroft_protocol.bitcoin.network import Network

PROGRAM = Path(__file__).parent / "confined.py"
PARTS = ("keeper", "panel", "port")
NEEDED = {"settings of the terminal", "memory"}
QUIETLY_REFUSED = {"open a file", "open a device", "write a file", "list a directory"}
QUIETLY_REFUSED |= {"read the keeper's memory by /proc"}
LANDLOCK_ALONE = {"run a program", "trace the keeper", "read the keeper's memory by process_vm_readv"}
LANDLOCK_ALONE |= QUIETLY_REFUSED


@functools.cache
def outcomes(walls: str) -> dict[str, str]:
    """What becomes of each call behind these walls. The victim runs as the same user as the program starts as."""
    with subprocess.Popen(["sleep", "60"]) as victim:
        try:
            done = subprocess.run(
                [sys.executable, str(PROGRAM), walls, str(victim.pid)], capture_output=True, text=True, check=True
            )
        finally:
            victim.kill()
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("part", PARTS)
def test_attack_a_process_that_was_taken_over_reaches_no_file_no_network_no_program_and_no_other_process(
    part: str,
) -> None:
    found = outcomes(part)
    assert {name for name, how in found.items() if how == "allowed"} == NEEDED
    assert {name for name, how in found.items() if how == "refused"} == QUIETLY_REFUSED
    assert {how for how in found.values() if how not in ("allowed", "refused")} == {"SIGSYS"}


def test_without_walls_the_same_calls_succeed() -> None:
    """Or else the test above would prove nothing. What a container withholds anyway is left out."""
    withheld = {"trace the keeper", "read the keeper's memory by process_vm_readv", "type for the owner", "io_uring"}
    # Linux before 5.15.
    withheld |= {"byte out of band"}
    assert {name for name, how in outcomes("none").items() if how != "allowed"} <= withheld


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
def test_landlock_alone_keeps_a_process_from_files_programs_and_other_processes() -> None:
    assert {name for name, how in outcomes("landlock").items() if how == "refused"} >= LANDLOCK_ALONE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_each_process_has_a_user_of_its_own() -> None:
    assert len(set(USERS.values())) == len(PARTS) == len(USERS)
    program = (
        "import os, sys\n"
        "from undercroft_appliance.sandbox import confine\n"
        "status = open('/proc/self/status')\n"
        "confine(sys.argv[1])\n"
        "print(status.read())\n"
    )
    for part in PARTS:
        done = subprocess.run([sys.executable, "-c", program, part], capture_output=True, text=True, check=True)
        status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
        user = str(USERS[part])
        assert status["Uid"].split() == status["Gid"].split() == [user] * 4
        assert status["Groups"].split() == []
        assert [status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == ["0" * 16] * 4
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("kept", [None, 2])
def test_attack_a_program_that_starts_as_another_user_has_no_way_back_to_root(kept: int | None) -> None:
    program = (
        "import os, sys\n"
        "from undercroft_appliance.sandbox.process import become\n"
        "become(60801, eval(sys.argv[1]))\n"
        "try: os.setresuid(0, 0, 0)\n"
        "except PermissionError: os.execv('/bin/cat', ['cat', '/proc/self/status'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(kept)], capture_output=True, text=True, check=True)
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert status["Uid"].split() == status["Gid"].split() == ["60801"] * 4
    assert status["Groups"].split() == []
    rights = "0" * 16 if kept is None else f"{1 << kept:016x}"
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {rights}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody to start from")
def test_who_is_not_root_keeps_its_user_and_gets_all_other_walls() -> None:
    program = (
        "import os\n"
        "from undercroft_appliance.sandbox import confine\n"
        "status = open('/proc/self/status')\n"
        "os.setgroups([]); os.setresgid(61000, 61000, 61000); os.setresuid(61000, 61000, 61000)\n"
        "print(confine('keeper'))\n"
        "print(status.read())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Walls(user=61000, own_user=False, landlock={landlock.version()})")
    for line in ("Uid:\t61000\t61000\t61000\t61000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in done.stdout


def test_the_owner_is_told_who_the_keeper_runs_as_and_of_a_wall_that_is_missing() -> None:
    assert Walls(60803, True, 7).lines == ("Keeper: own user 60803; seccomp; Landlock 7",)
    assert Walls(60803, True, 7).warnings == ()
    assert Walls(1000, False, 0).lines == ("Keeper: user 1000, who started it; seccomp; Landlock missing",)
    assert "no Landlock" in Walls(1000, False, 0).warnings[0]


def test_attack_a_machine_whose_calls_are_not_known_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:4], "riscv64")))
    with pytest.raises(ConfigurationError, match="no sandbox for keys on riscv64"):
        seccomp.install((), ())
    with pytest.raises(ConfigurationError):
        syscalls.this_machine()


SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def test_attack_a_machine_that_swaps_starts_no_mainnet_appliance(tmp_path: Path) -> None:
    swaps = tmp_path / "swaps"
    assert swap.swap_warnings(Network.MAINNET, swaps) == ()
    swaps.write_text(SWAPS)
    assert swap.swap_warnings(Network.MAINNET, swaps) == ()
    swaps.write_text(SWAPS + "/dev/zram0                              partition\t1000\t\t0\t\t-2\n")
    with pytest.raises(ConfigurationError, match="swaps to /dev/zram0"):
        swap.swap_warnings(Network.MAINNET, swaps)
    (warning,) = swap.swap_warnings(Network.REGTEST, swaps)
    assert warning.startswith("WARNING: ")
