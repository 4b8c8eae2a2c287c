"""Guarded memory: what lies in it stays in it."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import pickle
import resource
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.secrets.secrets_support import require_kind, stored, vm_flags
from undercroft_appliance.errors import MemoryUnavailableError
from undercroft_appliance.keeper.secrets import memory as memory_module
from undercroft_appliance.keeper.secrets.memory import GuardedMemory, Slot
from undercroft_appliance.keeper.secrets.native import checked, libc

TEST_SECRET = b"an obvious test secret, 32 bytes"


def exit_signal_of_child_that_reads(address: int) -> int:
    """0 if a forked child can read a byte there, else the signal that ended it."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        libc.memchr(ctypes.c_void_p(address), 0, 1)
        os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def test_a_slot_does_not_show_what_it_holds(memory: GuardedMemory) -> None:
    slot = stored(memory, TEST_SECRET)
    shown = f"{slot!r} {slot} {memory!r}"
    assert "32 guarded bytes" in shown
    assert "secret" not in shown.replace("memfd_secret", "")
    assert TEST_SECRET not in pickle.dumps(slot)


def test_slots_do_not_overlap_and_end_where_the_memory_ends(memory: GuardedMemory) -> None:
    slots = [memory.take(size) for size in (1, 32, 33, 64)]
    for before, after in pairwise(slots):
        assert before.address + before.size <= after.address
    with pytest.raises(MemoryUnavailableError):
        memory.take(memory.size)


def test_what_is_copied_and_wiped_inside_stays_exact(memory: GuardedMemory) -> None:
    first, second = stored(memory, TEST_SECRET), memory.take(len(TEST_SECRET))
    second.copy_from(first)
    first.wipe()
    assert first.read_public() == bytes(32)
    assert second.read_public() == TEST_SECRET
    assert second.part(3, 7).read_public() == TEST_SECRET[3:10]
    memory.wipe()
    assert second.read_public() == bytes(32)


def test_sizes_that_do_not_fit_are_refused(memory: GuardedMemory) -> None:
    slot = memory.take(32)
    with pytest.raises(ValueError, match="does not fit"):
        slot.copy_from(memory.take(31))
    with pytest.raises(ValueError, match="do not fit"):
        slot.store_public(bytes(33))
    with pytest.raises(ValueError, match="no part"):
        slot.part(1, 32)


def test_attack_reading_past_either_end_ends_the_process(memory: GuardedMemory) -> None:
    assert exit_signal_of_child_that_reads(memory.address - 1) == signal.SIGSEGV
    assert exit_signal_of_child_that_reads(memory.address + memory.size) == signal.SIGSEGV


def test_attack_reading_a_secret_while_nobody_uses_it_ends_the_process(memory: GuardedMemory) -> None:
    slot = stored(memory, TEST_SECRET)
    memory.shut()
    assert "rd" not in vm_flags(memory.address)
    with memory.used():
        with memory.used():
            assert slot.read_public() == TEST_SECRET
        assert slot.read_public() == TEST_SECRET
    assert "rd" not in vm_flags(memory.address)
    assert exit_signal_of_child_that_reads(memory.address) == signal.SIGSEGV


def test_shut_memory_is_wiped_all_the_same(memory: GuardedMemory) -> None:
    slot = stored(memory, TEST_SECRET)
    memory.shut()
    memory.wipe()
    assert "rd" not in vm_flags(memory.address)
    with memory.used():
        assert slot.read_public() == bytes(32)
        memory.wipe()
        assert slot.read_public() == bytes(32)


def test_a_fault_while_it_is_used_shuts_it_again(memory: GuardedMemory) -> None:
    memory.shut()
    with pytest.raises(ZeroDivisionError), memory.used():
        raise ZeroDivisionError
    assert "rd" not in vm_flags(memory.address)


def test_attack_a_forked_child_does_not_inherit_the_secret() -> None:
    require_kind("memfd_secret")
    with GuardedMemory(kinds=("memfd_secret",)) as secret:
        assert exit_signal_of_child_that_reads(secret.address) == signal.SIGSEGV
    with GuardedMemory(kinds=("mlock",)) as locked:
        slot = stored(locked, TEST_SECRET)
        child = os.fork()
        if child == 0:
            os._exit(0 if slot.read_public() == bytes(32) else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_attack_no_descriptor_of_the_secret_pages_stays_open_to_be_taken() -> None:
    require_kind("memfd_secret")
    with GuardedMemory(kinds=("memfd_secret",)) as secret:
        assert "/secretmem" in Path("/proc/self/maps").read_text()
        targets = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
        assert not [target for target in targets if "secretmem" in target]
        assert secret.kind == "memfd_secret"


def test_attack_secret_pages_cannot_be_read_through_proc() -> None:
    require_kind("memfd_secret")
    with GuardedMemory(kinds=("memfd_secret",)) as secret:
        stored(secret, TEST_SECRET)
        with Path("/proc/self/mem").open("rb", buffering=0) as own, pytest.raises(OSError):
            own.seek(secret.address)
            own.read(32)


def test_the_pages_are_in_no_core_file_and_never_swapped(memory: GuardedMemory) -> None:
    flags = vm_flags(memory.address)
    assert "dd" in flags
    assert "lo" in flags
    assert ("wf" if memory.kind == "mlock" else "dc") in flags


def test_without_memfd_secret_the_locked_pages_take_over_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "_SYS_MEMFD_SECRET", 9999)
    with GuardedMemory() as memory:
        assert memory.kind == "mlock"
        assert "mlock" in repr(memory)
    with pytest.raises(MemoryUnavailableError, match="memfd_secret"):
        GuardedMemory(kinds=("memfd_secret",))


def test_memory_that_cannot_be_locked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_to_lock(what: str, result: int) -> None:
        checked(what, -1 if what == "mlock" else result)

    monkeypatch.setattr(memory_module, "checked", refuse_to_lock)
    with pytest.raises(MemoryUnavailableError, match="mlock"):
        GuardedMemory(kinds=("mlock",))


def test_closed_memory_is_unmapped_and_gives_no_slots() -> None:
    memory = GuardedMemory(mmap.PAGESIZE)
    memory.close()
    memory.close()
    memory.wipe()
    with pytest.raises(MemoryUnavailableError, match="closed"):
        memory.take(1)
    assert exit_signal_of_child_that_reads(memory.address) == signal.SIGSEGV


def test_a_hardened_process_is_closed_to_others() -> None:
    program = (
        "import resource\n"
        "from undercroft_appliance.sandbox.process import harden_process\n"
        "from undercroft_appliance.keeper.secrets.native import libc\n"
        "harden_process()\n"
        "PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS = 3, 39\n"
        "print(*(libc.prctl(what, 0, 0, 0, 0) for what in (PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS)))\n"
        "print(*resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["0", "1", "0", "0"]


def test_slots_are_equal_only_at_the_same_place() -> None:
    assert Slot(1, 2) == Slot(1, 2)
    assert Slot(1, 2) != Slot(1, 3)
