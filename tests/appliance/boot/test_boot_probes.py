"""The probes run apart from whoever starts, tell what they see, and reach the journal in a form that a test reads."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from undercroft_appliance.boot import kernel_probes, probes, processes, root_probes
from undercroft_appliance.boot.journal import Journal
from undercroft_appliance.boot.probes import Finding, Probe
from undercroft_appliance.sandbox.process import SWITCH_OFF, USERS


def fails(number: int) -> Callable[[], str]:
    def look() -> str:
        raise OSError(number, "")

    return look


def test_probes_change_nothing_here() -> None:
    folder = Path.cwd()

    def moves() -> str:
        os.chdir("/")
        return "moved"

    (found,) = probes.run([Probe("move", "moved", moves)])
    assert found.is_good
    assert Path.cwd() == folder


def test_an_error_of_the_kernel_is_seen_by_its_name() -> None:
    (found,) = probes.run([Probe("socket", "EAFNOSUPPORT", fails(97))])
    assert found == Finding("socket", "EAFNOSUPPORT", "EAFNOSUPPORT")
    assert found.is_good


def test_attack_a_probe_that_dies_or_breaks_is_never_taken_for_a_wall() -> None:
    def ends() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return "works"

    def breaks() -> str:
        raise ValueError

    tried = [Probe("breaks", "works", breaks), Probe("silent", "works", str), Probe("ends", "works", ends)]
    tried.append(Probe("after", "works", lambda: "works"))
    assert [one.seen for one in probes.run(tried)] == ["ValueError", "nothing", "killed", "killed"]
    assert not any(one.is_good for one in probes.run(tried))


def test_what_is_seen_stays_on_its_line() -> None:
    (found,) = probes.run([Probe("a", "b", lambda: "one\ntwo\tthree")])
    assert found.seen == "one two three"


def test_the_table_names_each_wall_once() -> None:
    names = [probe.name for probe in (*kernel_probes.ALL, *root_probes.ALL)]
    assert len(set(names)) == len(names) > 100
    assert not any("\t" in text for probe in kernel_probes.ALL for text in (probe.name, probe.expected))


def test_attack_a_machine_with_networks_does_not_pass() -> None:
    """This one, on which the tests run; no probe is tried that could change it."""
    harmless = [probe for probe in kernel_probes.ALL if probe.name.startswith(("socket", "path: "))]
    bad = {one.name for one in probes.run(harmless) if not one.is_good}
    assert {"sockets: address families", "path: /proc/swaps"} <= bad


def test_what_a_root_must_not_hold_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir(mode=0o755)
    for name, mode in (("plain", 0o644), ("program", 0o755), ("gives", 0o4755), ("open", 0o646)):
        (tmp_path / "deep" / name).write_text("")
        (tmp_path / "deep" / name).chmod(mode)
    (tmp_path / "link").symlink_to("deep/gives")
    place, deep = str(tmp_path), tmp_path / "deep"
    assert root_probes._those(place, root_probes._gives_rights)() == f"{deep}/gives"
    assert root_probes._those(place, root_probes._is_program)() == f"{deep}/gives {deep}/program"
    assert root_probes._those(place, root_probes._is_for_all_to_write)() == f"{deep}/open"


def test_the_journal_tells_the_log_all_and_the_console_what_is_wrong(tmp_path: Path) -> None:
    console, log = tmp_path / "console", tmp_path / "log"
    console.write_text("")
    log.write_text("")
    journal = Journal(console)
    journal.keep(log)
    journal.say("undercroft: ready")
    journal.found(Finding("lockdown", "on", "on"))
    assert console.read_bytes() == b"undercroft: ready\r\n"
    journal.found(Finding("lockdown", "on", "off"))
    assert log.read_bytes() == b"undercroft: ready\r\nprobe\tlockdown\ton\ton\r\nprobe\tlockdown\ton\toff\r\n"
    assert console.read_bytes().endswith(b"\r\nprobe\tlockdown\ton\toff\r\n")


def test_what_is_typed_at_the_log_is_not_shown(tmp_path: Path) -> None:
    master, slave = os.openpty()
    Journal(tmp_path / "nothing").keep(Path(os.ttyname(slave)))
    assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON)
    os.close(master)
    os.close(slave)


def test_a_journal_without_any_screen_is_silent(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "nothing")
    journal.keep(tmp_path / "neither")
    journal.say("undercroft: ready")


def status(**changes: str) -> str:
    number = str(USERS["keeper"])
    lines = {
        "Name": "python3.13", "Uid": "\t".join([number] * 4), "Gid": "\t".join([number] * 4), "Groups": "",
        "VmSize": "1 kB", "Threads": "1", "CapInh": "0" * 16, "CapPrm": "0" * 16, "CapEff": "0" * 16,
        "CapBnd": "0" * 16, "CapAmb": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2",
    } | changes  # fmt: skip
    return "".join(f"{name}:\t{value}\n" for name, value in lines.items())


def system(proc: Path, **changes: str) -> tuple[Finding, ...]:
    """What is seen of a keeper with these changes."""
    few = f"{0x1E0 | 1 << SWITCH_OFF:016x}"
    supervisor = {"CapPrm": few, "CapEff": few, "CapBnd": few, "Seccomp": "0", "Uid": "0\t0", "Gid": "0\t0"}
    for pid, text in ((1, status(**supervisor)), (7, status(**changes))):
        (proc / str(pid)).mkdir()
        (proc / str(pid) / "status").write_text(text)
    return tuple(processes.seen({"keeper": 7}, proc))


def test_a_process_behind_all_its_walls_is_as_it_must_be(tmp_path: Path) -> None:
    keeper, supervisor = system(tmp_path)
    assert (keeper.name, supervisor.name) == ("process: keeper", "process: supervisor")
    assert keeper.is_good
    assert supervisor.is_good


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Uid", "60803\t0\t60803\t60803"), ("Gid", "0\t0\t0\t0"), ("Groups", "0 20"), ("CapPrm", "0" * 15 + "2"),
        ("CapEff", "0" * 15 + "2"), ("CapBnd", "0" * 15 + "2"), ("CapInh", "0" * 15 + "2"), ("CapAmb", "0" * 15 + "2"),
        ("NoNewPrivs", "0"), ("Threads", "2"),
    ],
)  # fmt: skip
def test_attack_a_process_that_lacks_a_wall_is_found(tmp_path: Path, field: str, value: str) -> None:
    assert not system(tmp_path, **{field: value})[0].is_good


def test_attack_a_process_that_never_filters_its_calls_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START_SECONDS", 0.0)
    assert not system(tmp_path, Seccomp="0")[0].is_good


def test_a_machine_that_is_asked_to_end_does_not_wait_for_a_process_that_hangs(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGPWR,))
    try:
        signal.raise_signal(signal.SIGPWR)
        assert not system(tmp_path, Seccomp="0")[0].is_good
    finally:
        signal.sigwait((signal.SIGPWR,))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_one_that_has_ended_is_left_to_its_supervisor(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "status").write_text(status())
    assert [one.name for one in processes.seen({"keeper": 7}, tmp_path)] == ["process: supervisor"]
