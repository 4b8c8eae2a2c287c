"""The filter's program, run by a small interpreter, for both machines: what the kernel would answer to any call."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_appliance.sandbox.profiles import KEEPER, PANEL, PORT, REFUSED
from undercroft_appliance.sandbox.seccomp import ALLOW, KILL_PROCESS, REFUSE, Condition, Rule, assembled
from undercroft_appliance.sandbox.syscalls import MACHINES, Machine
from undercroft_protocol.qr.camera.v4l2_abi import STREAMING_IOCTLS

PROFILES = {"keeper": KEEPER, "panel": PANEL, "port": PORT}
MOST_INSTRUCTIONS = 4096
X86, ARM = MACHINES


def answer(code: bytes, audit: int, number: int, arguments: Sequence[int] = ()) -> int:
    """What the kernel's interpreter of classic BPF returns (Documentation/userspace-api/seccomp_filter.rst)."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *(*arguments, *[0] * (6 - len(arguments))))
    program = list(struct.iter_unpack("=HBBI", code))
    at, register = 0, 0
    while True:
        operation, if_true, if_false, operand = program[at]
        at += 1
        match operation:
            case 0x20:
                (register,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                register &= operand
            case 0x15:
                at += if_true if register == operand else if_false
            case 0x35:
                at += if_true if register >= operand else if_false
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(f"operation {operation:#x}")


def call(code: bytes, machine: Machine, name: str, *arguments: int) -> int:
    number = machine.number(name)
    assert number is not None
    return answer(code, machine.audit, number, arguments)


@pytest.fixture(params=MACHINES, ids=lambda machine: machine.name)
def machine(request: pytest.FixtureRequest) -> Machine:
    found: Machine = request.param
    return found


@pytest.fixture(params=PROFILES)
def filter_of(request: pytest.FixtureRequest, machine: Machine) -> bytes:
    code = assembled(PROFILES[request.param], REFUSED, machine)
    assert len(code) // 8 <= MOST_INSTRUCTIONS
    return code


def test_the_numbers_are_those_of_the_kernels_tables() -> None:
    """A few of each machine, by hand from arch/x86/entry/syscalls/syscall_64.tbl and asm-generic/unistd.h."""
    for name, numbers in {
        "read": (0, 63), "write": (1, 64), "mmap": (9, 222), "mprotect": (10, 226), "ioctl": (16, 29),
        "sendto": (44, 206), "recvfrom": (45, 207), "exit_group": (231, 94), "openat": (257, 56), "ppoll": (271, 73),
        "getrandom": (318, 278), "mlock": (149, 228), "rt_sigreturn": (15, 139), "poll": (7, None),
    }.items():  # fmt: skip
        assert tuple(machine.number(name) for machine in MACHINES) == numbers


def test_memory_may_be_had_but_never_executed(filter_of: bytes, machine: Machine) -> None:
    anonymous, shared_file, shared = 0x22, 0x01, 0x21
    assert call(filter_of, machine, "mmap", 0, 4096, 3, anonymous, 2**64 - 1) == ALLOW
    assert call(filter_of, machine, "mmap", 0, 4096, 0, anonymous, 0) == ALLOW
    for protection, flags in ((7, anonymous), (4, anonymous), (1, shared_file), (3, 0x02), (3, shared), (3, 0x23)):
        assert call(filter_of, machine, "mmap", 0, 4096, protection, flags, 5) == KILL_PROCESS
    assert call(filter_of, machine, "mprotect", 0, 4096, 3) == ALLOW
    assert call(filter_of, machine, "mprotect", 0, 4096, 5) == KILL_PROCESS


def test_a_socket_talks_only_to_whom_it_is_joined(filter_of: bytes, machine: Machine) -> None:
    assert call(filter_of, machine, "sendto", 3, 1, 1, 0, 0, 0) == ALLOW
    for address in (1, 1 << 32, 2**64 - 1):
        assert call(filter_of, machine, "sendto", 3, 1, 1, 0, address, 16) == KILL_PROCESS


def test_attack_a_byte_out_of_band_by_which_a_keeper_would_wait_while_its_owner_says_freeze(
    filter_of: bytes, machine: Machine
) -> None:
    out_of_band, do_not_wait = 0x01, 0x40
    assert call(filter_of, machine, "sendto", 3, 1, 1, do_not_wait, 0, 0) == ALLOW
    for flags in (out_of_band, out_of_band | do_not_wait):
        assert call(filter_of, machine, "sendto", 3, 1, 1, flags, 0, 0) == KILL_PROCESS


def test_only_requests_for_a_terminals_settings_are_allowed(machine: Machine) -> None:
    tcgets, tiocsti, tiocgwinsz, tiocsctty, tioclinux = 0x5401, 0x5412, 0x5413, 0x540E, 0x541C
    for name, rules in PROFILES.items():
        code = assembled(rules, REFUSED, machine)
        assert call(code, machine, "ioctl", 0, tcgets, 1) == ALLOW
        for request in (tiocsti, tiocsctty, tioclinux):
            assert call(code, machine, "ioctl", 0, request, 1) == KILL_PROCESS
        assert (call(code, machine, "ioctl", 0, tiocgwinsz, 1) == ALLOW) is (name in ("panel", "port"))


@pytest.mark.parametrize(
    ("name", "request_"),
    # <linux/vt.h>, <linux/kd.h>
    [
        ("VT_ACTIVATE", 0x5606), ("VT_WAITACTIVE", 0x5607), ("VT_SETMODE", 0x5602), ("VT_RELDISP", 0x5605),
        ("VT_DISALLOCATE", 0x5608), ("VT_RESIZE", 0x5609), ("VT_LOCKSWITCH", 0x560B), ("VT_UNLOCKSWITCH", 0x560C),
        ("VT_SETACTIVATE", 0x560F), ("KDSETMODE", 0x4B3A), ("KDSKBMODE", 0x4B45), ("KDSKBENT", 0x4B47),
        ("KDSKBSENT", 0x4B49), ("KDSKBLED", 0x4B65), ("KDSETLED", 0x4B32), ("KDMKTONE", 0x4B30), ("PIO_FONT", 0x4B61),
        ("PIO_CMAP", 0x4B71), ("PIO_UNIMAP", 0x4B67), ("KDFONTOP", 0x4B72), ("TIOCLINUX", 0x541C),
        ("TIOCSTI", 0x5412), ("TIOCCONS", 0x541D), ("TIOCSETD", 0x5423), ("TIOCSWINSZ", 0x5414),
    ],
)  # fmt: skip
def test_attack_no_process_gives_orders_to_a_console(machine: Machine, name: str, request_: int) -> None:
    """To switch it, to change its keys or its letters, or to type there."""
    for profile, rules in PROFILES.items():
        assert call(assembled(rules, REFUSED, machine), machine, "ioctl", 4, request_, 2) == KILL_PROCESS, (
            name,
            profile,
        )


def test_only_the_port_takes_pictures_from_a_camera_that_streams_already(machine: Machine) -> None:
    streamon, set_format, request_buffers = 0x40045612, 0xC0D05605, 0xC0145608
    for name, rules in PROFILES.items():
        code = assembled(rules, REFUSED, machine)
        for request in STREAMING_IOCTLS:
            assert (call(code, machine, "ioctl", 0, request, 1) == ALLOW) is (name == "port")
        for request in (streamon, set_format, request_buffers):
            assert call(code, machine, "ioctl", 0, request, 1) == KILL_PROCESS


def test_a_descriptor_is_asked_about_and_never_changed_or_doubled(machine: Machine) -> None:
    dupfd, getfl, setfl = 0, 3, 4
    for name, rules in PROFILES.items():
        code = assembled(rules, REFUSED, machine)
        assert (call(code, machine, "fcntl", 0, getfl, 0) == ALLOW) is (name == "port")
        for request in (dupfd, setfl):
            assert call(code, machine, "fcntl", 0, request, 0) == KILL_PROCESS


def test_files_are_refused_without_an_end(filter_of: bytes, machine: Machine) -> None:
    for name in REFUSED:
        if machine.number(name) is not None:
            assert call(filter_of, machine, name) == REFUSE


def test_attack_a_call_by_the_number_of_another_machine_or_table(filter_of: bytes, machine: Machine) -> None:
    (other,) = [one for one in MACHINES if one != machine]
    read = machine.number("read")
    assert read is not None
    assert answer(filter_of, machine.audit, read) == ALLOW
    for audit in (other.audit, 0x40000003, 0, 0xFFFFFFFF):
        assert answer(filter_of, audit, read) == KILL_PROCESS
    for number in (0x40000000 | read, 0xFFFFFFFF):
        assert answer(filter_of, machine.audit, number) == KILL_PROCESS


def test_attack_every_call_that_is_not_on_the_list_ends_the_process(machine: Machine) -> None:
    for rules in PROFILES.values():
        code = assembled(rules, REFUSED, machine)
        listed = {machine.number(rule.call) for rule in rules} | {machine.number(name) for name in REFUSED}
        for number in set(range(1000)) - listed:
            assert answer(code, machine.audit, number) == KILL_PROCESS


@given(value=st.integers(0, 2**64 - 1), mask=st.integers(0, 2**64 - 1), wanted=st.integers(0, 2**64 - 1))
def test_a_condition_looks_at_all_64_bits(value: int, mask: int, wanted: int) -> None:
    code = assembled([Rule("write", (Condition(2, mask, wanted & mask),))], (), X86)
    expected = ALLOW if value & mask == wanted & mask else KILL_PROCESS
    assert call(code, X86, "write", 0, 0, value) == expected
    assert call(code, X86, "write", 0, 0, wanted) == ALLOW


@given(arguments=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_rules_for_one_call_are_alternatives_whose_conditions_all_hold(arguments: tuple[int, int]) -> None:
    whole = 2**64 - 1
    rules = [
        Rule("write", (Condition(0, whole, 1), Condition(1, whole, 2))),
        Rule("write", (Condition(0, whole, 3),)),
    ]
    expected = ALLOW if arguments == (1, 2) or arguments[0] == 3 else KILL_PROCESS
    assert call(assembled(rules, (), ARM), ARM, "write", *arguments) == expected
