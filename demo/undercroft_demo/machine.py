"""An appliance as it ships, in an emulator: the very kernel8.img, two serial lines, no network card, no disk.

QEMU's machine "virt" runs it, in software: the first serial line is the one to the host, the second is the owner's
terminal, and what the appliance finds out about itself at the start goes to a file.
"""

from __future__ import annotations

import hashlib
import os
import pty
import socket
import stat
import subprocess
import tty
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from private_apt import FetchError
from undercroft_images.builder import Builder
from undercroft_images.cpio import Entry, archive
from undercroft_images.errors import ImageError
from undercroft_images.places import OUTPUT

from .qmp import Control, EmulatorError

IMAGE: Final = OUTPUT / "kernel8.img"
"""What is shipped."""
MEMORY_MIB: Final = 256
_PROGRAM: Final = "qemu-system-aarch64"
VIRT: Final = ("-M", "virt", "-cpu", "cortex-a72", "-smp", "2")
"""The emulator's own board."""
# Attack: whoever can give the kernel a command line starts a program of theirs in the place of the appliance.
_HOSTILE: Final = ("-append", "init=/bin/sh rdinit=/bin/sh console=ttyAMA0 lockdown=none")
BARE: Final = ("-display", "none", "-nodefaults", "-no-user-config", "-nic", "none", "-no-reboot")
"""No screen, no network card; a machine that wants to start anew ends."""
ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL", "--")
"""What keeps an emulator from outliving us."""
_CTRL_C: Final = b"\x03"
_PATIENCE_SECONDS: Final = 60.0


class Line(Protocol):
    """A cable to the host."""

    @property
    def appliance_path(self) -> str:
        """The terminal that is its end at the appliance."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """``program``: the command's first words; ``image``: the kernel with its root in it; ``version``: as QEMU says."""

    program: tuple[str, ...]
    image: Path
    version: str

    @classmethod
    def ready(cls, image: Path = IMAGE) -> Self:
        """The builder's emulator. Raises EmulatorError when it, or the image, is not there."""
        if not image.exists():
            raise EmulatorError(f"{image.name} is not there: make image builds it")
        try:
            program = tuple(Builder.ready().outside(_PROGRAM))
            said = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True).stdout
        except (ImageError, FetchError, OSError, subprocess.CalledProcessError) as error:
            raise EmulatorError(str(error)) from error
        return cls(program, image, said.splitlines()[0].removeprefix("QEMU emulator version "))

    @property
    def sha256(self) -> str:
        """Of the image, in hex."""
        return hashlib.sha256(self.image.read_bytes()).hexdigest()

    @property
    def told(self) -> str:
        """What runs in what."""
        return f"{self.image.name}, SHA-256 {self.sha256}, in QEMU {self.version}, machine virt, Cortex-A72"

    def command(self, hostile_root: Path, *more: str) -> list[str]:
        """How to run the image with these options more, although somebody gives it another root."""
        machine = (*VIRT, "-m", str(MEMORY_MIB), *BARE, *_HOSTILE, "-initrd", str(hostile_root))
        return [*ENDS_WITH_US, *self.program, *machine, "-kernel", str(self.image), *more]


def _hostile_root(path: Path) -> Path:
    # Attack: a root that a boot loader brings is unpacked over the one in the image, and PID 1 is another program.
    # Here it is an empty file, so that a kernel that takes it cannot start.
    path.write_bytes(archive({"usr/bin/python3.13": Entry(stat.S_IFREG | 0o755)}))
    return path


class Machine:
    """An emulated appliance on the end of a cable.

    `master_fd` is its owner's side of the terminal, which outlives the emulator until `close`; `log` is what the
    emulator says, `journal` what the appliance says of itself while it starts.
    """

    terminal_is_remote: Final = True

    def __init__(
        self, name: str, *, emulator: Emulator, directory: Path, line: Line, options: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self.journal = directory / f"{name}.journal"
        self.master_fd, self._slave = pty.openpty()
        # Nothing echoes on the way: the appliance's own terminal does.
        tty.setraw(self._slave)
        self._emulator = emulator
        self._line = line
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Control | None = None

    @classmethod
    def started(cls, directory: Path, name: str, *, emulator: Emulator, cable: Line) -> Self:
        """An appliance that is switched on. Raises EmulatorError."""
        machine = cls(name, emulator=emulator, directory=directory.resolve(), line=cable)
        try:
            machine.power_on()
        except BaseException:
            machine.close()
            raise
        return machine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def power_on(self) -> None:
        """Start the emulator; the appliance wakes empty. It ends with the thread that calls this.

        Raises RuntimeError if it is on, EmulatorError.
        """
        if self.alive:
            raise RuntimeError(f"{self.name} is on")
        self.pull_plug()
        # A pair of sockets: nobody else can take the control line, and no path is too long for it.
        ours, theirs = socket.socketpair()
        with theirs, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._emulator.command(
                    _hostile_root(self.journal.with_suffix(".root")),
                    "-chardev", f"serial,id=line,path={_quoted(self._line.appliance_path)}", "-serial", "chardev:line",
                    "-chardev", f"serial,id=owner,path={os.ttyname(self._slave)}", "-serial", "chardev:owner",
                    "-chardev", f"file,id=journal,path={_quoted(str(self.journal))}",
                    "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=journal",
                    "-chardev", f"socket,id=control,fd={theirs.fileno()}", "-mon", "chardev=control,mode=control",
                    *self._options,
                ),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        try:
            self._control = Control(ours)
        except EmulatorError as error:
            ours.close()
            raise EmulatorError(f"{error}\n{self.log.read_text(errors='replace')}") from error

    def power_off(self) -> None:
        """Switch it off as its owner does, by Ctrl-C. Raises EmulatorError if it does not end."""
        if self._process is None:
            return
        self.press_ctrl_c()
        self.wait_for_end()

    def press_ctrl_c(self) -> None:
        """As its owner does who wants it to be off."""
        os.write(self.master_fd, _CTRL_C)

    def wait_for_end(self, timeout: float = _PATIENCE_SECONDS) -> None:
        """Return when the appliance has switched itself off. Raises EmulatorError after `timeout` seconds, and
        when it was the emulator that failed."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.pull_plug()
            raise EmulatorError(f"{self.name} did not switch itself off") from None
        self._hang_up()
        # Mishap: an emulator that crashed looks like an appliance that switched itself off.
        if self.exit_code:
            raise EmulatorError(f"the emulator of {self.name} failed with code {self.exit_code}, see {self.log}")

    def pull_plug(self) -> None:
        """End the emulator at once, as a power cut does."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._hang_up()

    def close(self) -> None:
        """Pull its plug and take its terminal away."""
        self.pull_plug()
        os.close(self.master_fd)
        os.close(self._slave)

    def keep_when_off(self) -> None:
        """From now on an appliance that switches itself off, or starts anew, leaves its RAM to be looked at."""
        self.control.ask("set-action", shutdown="pause")

    def wait_until_off(self) -> None:
        """Return when the appliance has switched itself off, after `keep_when_off`. Raises EmulatorError."""
        self.control.wait_for_event("SHUTDOWN")

    @property
    def control(self) -> Control:
        """The emulator's control line. Raises EmulatorError while it is off."""
        if self._control is None:
            raise EmulatorError(f"{self.name} is off")
        return self._control

    @property
    def alive(self) -> bool:
        """The emulator runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The emulator's exit code, None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def told(self) -> str:
        """What it is, in words."""
        processes = ", ".join(map(str, self.pids()))
        return f"{MEMORY_MIB} MiB of RAM, process {processes} with {self.resident_mib} MiB"

    @property
    def resident_mib(self) -> int:
        """RAM of this computer that the emulator has, in MiB. Raises EmulatorError while it is off."""
        if self._process is None or not self.alive:
            raise EmulatorError(f"{self.name} is off")
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:"))

    def pids(self) -> list[int]:
        """The emulator's process, if it runs."""
        return [self._process.pid] if self._process is not None and self.alive else []

    def _hang_up(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None


def _quoted(path: str) -> str:
    """A path in an option of the emulator, where a comma stands for itself when doubled."""
    return path.replace(",", ",,")
