"""An emulated machine with a screen that is looked at, a keyboard that is typed on, and whatever else a test needs."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from undercroft_images.builder import Builder

from .image_peripherals_screen import Font, Pixels, pixels_of, text_on
from .machine import BARE, ENDS_WITH_US
from .qmp import Control, EmulatorError

CONSOLES: Final = (
    "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=journal", "-device", "virtconsole,chardev=talk",
)  # fmt: skip
"""Where the appliance tells its journal, and a line to a test: /dev/hvc0 and /dev/hvc1."""
SCREEN_AND_KEYBOARD: Final = ("-device", "virtio-gpu-pci", "-device", "virtio-keyboard-pci")
_MODULES: Final = "usr/lib/x86_64-linux-gnu/qemu"
"""Where the emulator has the parts for screens, below the builder's root."""
_KEYS: Final = {" ": "spc", "\n": "ret"}
_KEY_SECONDS: Final = 0.15
_LOOK_SECONDS: Final = 0.5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Machine:
    """``folder`` holds what it leaves; ``talk`` is the other end of the second of its `CONSOLES`."""

    folder: Path
    control: Control
    talk: socket.socket
    fonts: Sequence[Font]

    @classmethod
    @contextlib.contextmanager
    def started(
        cls, builder: Builder, folder: Path, fonts: Sequence[Font], arguments: Sequence[str | Path]
    ) -> Iterator[Self]:
        """The machine of these arguments of the emulator, ended at the end. Raises EmulatorError if it does not run.

        What the appliance says of itself at its start goes into "journal" in the folder.
        """
        with contextlib.ExitStack() as stack:
            ours, theirs, talk, far_talk = map(stack.enter_context, (*socket.socketpair(), *socket.socketpair()))
            output = stack.enter_context((folder / "emulator.txt").open("wb"))
            process = subprocess.Popen(
                [
                    *ENDS_WITH_US, *builder.outside("qemu-system-aarch64"), *BARE,
                    "-chardev", f"socket,id=control,fd={theirs.fileno()}", "-mon", "chardev=control,mode=control",
                    "-chardev", f"file,id=journal,path={folder / 'journal'}",
                    "-chardev", f"socket,id=talk,fd={far_talk.fileno()}",
                    *map(str, arguments),
                ],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(theirs.fileno(), far_talk.fileno()),
                env={**os.environ, "QEMU_MODULE_DIR": str(builder.root / _MODULES)},
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            theirs.close()
            far_talk.close()
            try:
                control = Control(ours)
            except EmulatorError as error:
                raise EmulatorError(f"{error}: {(folder / 'emulator.txt').read_text()}") from error
            stack.callback(control.close)
            yield cls(folder, control, talk, fonts)

    def pty(self, label: str) -> str:
        """The path of the pseudo-terminal that is the character device ``label``. Raises EmulatorError."""
        names: dict[str, str] = {one["label"]: one["filename"] for one in self.control.ask("query-chardev")}
        return names[label].removeprefix("pty:")

    def screen(self) -> Pixels:
        """What the screen shows now. Raises EmulatorError."""
        place = self.folder / "screen.ppm"
        self.control.ask("screendump", filename=str(place))
        return pixels_of(place.read_bytes())

    def text(self) -> str:
        """The text on the screen now. Raises EmulatorError."""
        return text_on(self.screen(), self.fonts)

    def wait_for_text(self, wanted: str, seconds: float) -> str:
        """The text on the screen, as soon as this stands there. Raises EmulatorError, with the screen."""
        last = ""

        def look() -> str | None:
            nonlocal last
            last = self.text()
            return last if wanted in last else None

        try:
            return until(look, seconds)
        except TimeoutError:
            raise EmulatorError(f"{wanted!r} is not on the screen after {seconds:.0f} s:\n{last}") from None

    def type(self, text: str) -> None:
        """Type small letters, digits, spaces and Enter on its keyboard. Raises EmulatorError."""
        for letter in text:
            self.press(_KEYS.get(letter, letter))

    def press(self, *keys: str) -> None:
        """Press these keys (QEMU's names of them) together and let go. Raises EmulatorError."""
        self.control.ask("send-key", keys=[{"type": "qcode", "data": key} for key in keys])
        # A key that is pressed while the one before is still down would be lost.
        time.sleep(_KEY_SECONDS)


def until(look: Callable[[], T | None], seconds: float) -> T:
    """What ``look`` finds, as soon as it finds something. Raises TimeoutError after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_LOOK_SECONDS)
