"""A seccomp filter (seccomp(2)), assembled here: what is not on the list ends the process.

The program is classic BPF over ``struct seccomp_data``: number, architecture, instruction pointer, six 64-bit
arguments. Rules for one system call are alternatives; all conditions of one rule must hold.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ..errors import ConfigurationError
from .syscalls import Machine, this_machine

KILL_PROCESS: Final = 0x80000000
ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050001
"""SECCOMP_RET_ERRNO with EPERM."""

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_INSTRUCTION: Final = struct.Struct("=HBBI")
_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4
_ARGUMENTS_AT: Final = 16
_LOW: Final = 0xFFFFFFFF
# x86_64's second table (x32) has these numbers; Linux has no others so high.
_FOREIGN_NUMBERS: Final = 0x40000000
_SET_MODE_FILTER: Final = 1
_TO_ALL_THREADS: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Condition:
    """``argument`` (0 to 5), of which only the bits of ``mask`` are looked at, must equal ``value`` (both 64 bits)."""

    argument: int
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A system call that is allowed when all conditions hold."""

    call: str
    conditions: tuple[Condition, ...] = ()


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def assembled(rules: Iterable[Rule], refused: Iterable[str], machine: Machine) -> bytes:
    """The filter's instructions, 8 bytes each: allow the rules, answer EPERM to ``refused``, end the process else."""
    known = [(number, rule) for rule in rules if (number := machine.number(rule.call)) is not None]
    alternatives: dict[int, list[Rule]] = {}
    for number, rule in known:
        alternatives.setdefault(number, []).append(rule)
    code = [
        # Attack: a call by its number in another table of this machine, where it means something else.
        _op(_LOAD, _ARCHITECTURE_AT) + _op(_JUMP_EQUAL, machine.audit, 1, 0) + _op(_RETURN, KILL_PROCESS),
        _op(_LOAD, _NUMBER_AT) + _op(_JUMP_AT_LEAST, _FOREIGN_NUMBERS, 0, 1) + _op(_RETURN, KILL_PROCESS),
    ]
    for number, choices in alternatives.items():
        body = b"".join(map(_tested, choices)) + _op(_RETURN, KILL_PROCESS)
        code.append(_op(_JUMP_EQUAL, number, 0, _length(body)) + body)
    for call in refused:
        denied = machine.number(call)
        if denied is not None:
            code.append(_op(_JUMP_EQUAL, denied, 0, 1) + _op(_RETURN, REFUSE))
    return b"".join(code) + _op(_RETURN, KILL_PROCESS)


def install(rules: Iterable[Rule], refused: Iterable[str]) -> None:
    """Put this process, all its threads and whatever it starts under the filter, for good.

    Raises ConfigurationError when the machine or the kernel cannot do it. no_new_privs must be set before.
    """
    machine = this_machine()
    code = assembled(rules, refused, machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(_length(code), ctypes.addressof(buffer))
    result = _libc.syscall(
        ctypes.c_long(machine.seccomp),
        ctypes.c_uint(_SET_MODE_FILTER),
        ctypes.c_uint(_TO_ALL_THREADS),
        ctypes.byref(program),
    )
    if result != 0:
        raise ConfigurationError(f"this kernel takes no seccomp filter ({os.strerror(ctypes.get_errno())})")


def _tested(rule: Rule) -> bytes:
    """Instructions that return ALLOW when all conditions hold, and else go on behind themselves."""
    body = _op(_RETURN, ALLOW)
    for condition in reversed(rule.conditions):
        # The kernel takes 64 bits, and a filter that looks at the low half only is talked into anything.
        for shift in (32, 0):
            mask, value = (condition.mask >> shift) & _LOW, (condition.value >> shift) & _LOW
            at = _ARGUMENTS_AT + 8 * condition.argument + (4 if shift else 0)
            body = _op(_LOAD, at) + _op(_AND, mask) + _op(_JUMP_EQUAL, value, 0, _length(body)) + body
    return body


def _op(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, if_true, if_false, operand)


def _length(code: bytes) -> int:
    return len(code) // _INSTRUCTION.size
