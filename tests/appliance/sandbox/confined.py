"""A program that tries forbidden calls, each in a child of its own, and prints what became of them as JSON.

    python confined.py WALLS VICTIM

WALLS: keeper, panel, port, landlock (nothing but Landlock) or none. VICTIM: a process of the same user to lay hands on.
For each call: "allowed", "refused" (an error from the kernel), or the name of the signal that ended the child.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import pty
import signal
import socket
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

from undercroft_appliance.sandbox import confine, landlock
from undercroft_appliance.sandbox.process import USERS, become, harden_process

REFUSED = 1
OTHER = 2
READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p


def checked(result: int | None) -> None:
    if result is None or result < 0 or result == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def system(number: int, *arguments: object) -> None:
    checked(libc.syscall(ctypes.c_long(number), *arguments))


def start_thread() -> None:
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError as error:
        raise PermissionError(str(error)) from error
    thread.join()


def pass_descriptor(pair: tuple[socket.socket, socket.socket]) -> None:
    rights = array.array("i", [pair[0].fileno()])
    pair[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def calls(victim: int) -> dict[str, Callable[[], object]]:
    """All that a process with a hole in it would try; what they need is open before the walls go up."""
    terminal, _ = pty.openpty()
    pair = socket.socketpair()
    unbound, listener = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    listener.bind(f"\0undercroft-{os.getpid()}")
    heard = listener.getsockname()
    address = libc.mmap(None, mmap.PAGESIZE, READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    mapped = int(Path(f"/proc/{victim}/maps").read_text().split("-")[0], 16)
    vectors = [(ctypes.c_void_p * 2)(at, 8) for at in (address, mapped)]
    return {
        "open a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "open a device": lambda: os.open("/dev/null", os.O_RDWR),
        "write a file": lambda: os.open("/proc/self/comm", os.O_WRONLY),
        "list a directory": lambda: list(Path("/").iterdir()),
        "read the keeper's memory by /proc": lambda: os.open(f"/proc/{victim}/mem", os.O_RDONLY),
        "read the keeper's memory by process_vm_readv": lambda: checked(
            libc.process_vm_readv(victim, vectors[0], 1, vectors[1], 1, 0)
        ),
        "trace the keeper": lambda: checked(libc.ptrace(0x4206, victim, None, None)),
        "signal the keeper": lambda: os.kill(victim, 0),
        "reach into the keeper's descriptors": lambda: system(434, victim, 0),
        "TCP socket": lambda: socket.socket(socket.AF_INET),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "packet to an address": lambda: (unbound.sendto(b"x", heard), listener),
        "listen": lambda: unbound.bind(f"\0undercroft-too-{os.getpid()}"),
        "byte out of band": lambda: pair[0].send(b"x", socket.MSG_OOB),
        "pass a descriptor": lambda: pass_descriptor(pair),
        "fork": lambda: os.fork() or os._exit(0),
        "start a thread": start_thread,
        "run a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - that is what is tried
        "executable memory": lambda: checked(libc.mmap(None, mmap.PAGESIZE, READ_WRITE | mmap.PROT_EXEC, 0x22, -1, 0)),
        "shared memory": lambda: checked(libc.mmap(None, mmap.PAGESIZE, READ_WRITE, 0x21, -1, 0)),
        "make memory executable": lambda: checked(
            libc.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, mmap.PROT_EXEC)
        ),
        "memory file": lambda: os.memfd_create("x"),
        "io_uring": lambda: system(425, 1, ctypes.create_string_buffer(120)),
        "type for the owner": lambda: fcntl.ioctl(terminal, termios.TIOCSTI, b"x"),
        "another user": lambda: os.setresuid(os.getuid(), os.getuid(), os.getuid()),
        "be dumpable": lambda: checked(libc.prctl(4, 1, 0, 0, 0)),
        "settings of the terminal": lambda: termios.tcgetattr(terminal),
        "memory": lambda: checked(libc.mmap(None, mmap.PAGESIZE, READ_WRITE, 0x22, -1, 0)),
    }


def outcome(walls: str, act: Callable[[], object]) -> str:
    child = os.fork()
    if child == 0:
        put_up(walls)
        try:
            act()
        except PermissionError:
            os._exit(REFUSED)
        except OSError as error:
            os._exit(REFUSED if error.errno in (errno.EPERM, errno.EACCES) else OTHER)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return {0: "allowed", REFUSED: "refused"}.get(os.WEXITSTATUS(status), "another error")


def put_up(walls: str) -> None:
    if walls == "landlock":
        become(USERS["port"])
        harden_process()
        landlock.restrict()
    elif walls != "none":
        confine(walls)


def main(walls: str, victim: int) -> None:
    print(json.dumps({name: outcome(walls, act) for name, act in calls(victim).items()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
