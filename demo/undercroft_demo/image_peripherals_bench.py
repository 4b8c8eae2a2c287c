"""What the steps share: the image, the test kernel, and how a machine is started with either."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from undercroft_images import test_kernels
from undercroft_images.builder import Builder
from undercroft_images.kernel import COMMAND_LINE, Kernel
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import LinkError
from undercroft_protocol.messages import StatusReport
from undercroft_protocol.serial.link import SerialLink

from .image_peripherals_guest import MODULE
from .image_peripherals_machine import CONSOLES, SCREEN_AND_KEYBOARD, Machine
from .image_peripherals_root import root_of, with_guest
from .image_peripherals_screen import Font, fonts_of
from .machine import IMAGE, MEMORY_MIB, VIRT
from .played_host import PlayedHost, over
from .qmp import EmulatorError
from .telling import Telling

LINE: Final = ("-chardev", "pty,id=line", "-serial", "chardev:line")
NO_LINE: Final = ("-chardev", "null,id=line", "-serial", "chardev:line")
"""The machine's first serial line, held by `asked` or by nobody."""
START_SECONDS: Final = 240.0
"""How long an emulated appliance may take on a busy computer."""
READY: Final = "--- Ready -"
_SHIPPED_ON: Final = (*VIRT, "-m", str(MEMORY_MIB), *CONSOLES)
_PID_1: Final = "undercroft_appliance.boot"
_TEST_MEMORY_MIB: Final = MEMORY_MIB + 128
"""The test's root is unpacked from a file of its own, which lies in memory as well."""
_NO_CAMERA: Final = "vivid.node_types=0x10"
CAMERA: Final = "vivid.node_types=0x101 vivid.num_inputs=1 vivid.input_types=3 vivid.num_outputs=1 vivid.output_types=1"
"""vivid as an HDMI input /dev/video0 and an HDMI output /dev/video1 of 1280 x 720, and nothing else."""


@dataclass
class Bench:
    """``folder``: where machines leave what they leave, one below it each."""

    folder: Path
    telling: Telling
    builder: Builder
    image: Path

    @classmethod
    def ready(cls, folder: Path, telling: Telling, image: Path = IMAGE) -> Self:
        """Raises EmulatorError when the image is not there, ImageError."""
        if not image.exists():
            raise EmulatorError(f"{image.name} is not there: make image builds it")
        return cls(folder, telling, Builder.ready(), image)

    @cached_property
    def kernel(self) -> Kernel:
        """The shipped one, without a root. Raises ImageError."""
        return Kernel.ready(self.builder)

    @cached_property
    def fonts(self) -> tuple[Font, ...]:
        """Those of the kernel's console."""
        return fonts_of(self.kernel.source)

    @cached_property
    def test_kernel(self) -> Path:
        """Raises ImageError."""
        return test_kernels.ready(self.builder)

    @cached_property
    def test_root(self) -> Path:
        """The root out of the image, and our one file more."""
        place = self.folder / "root.cpio"
        place.write_bytes(with_guest(root_of(self.image)))
        return place

    @contextmanager
    def shipped(self, *arguments: str | Path, board: Sequence[str] = _SHIPPED_ON) -> Iterator[Machine]:
        """The image as it ships, on this board. Raises EmulatorError."""
        with self._machine([*board, "-kernel", self.image, *arguments]) as machine:
            yield machine

    @contextmanager
    def test(self, part: str, *arguments: str | Path, camera: bool) -> Iterator[Machine]:
        """The image's root on the test kernel, with somebody who plays this part. Raises EmulatorError."""
        video = CAMERA if camera else _NO_CAMERA
        line = f"{video} {COMMAND_LINE.replace(_PID_1, f'{MODULE} {part}')}"
        hardware = (
            *VIRT,
            "-m",
            str(_TEST_MEMORY_MIB),
            *CONSOLES,
            "-kernel",
            self.test_kernel,
            "-initrd",
            self.test_root,
        )
        with self._machine([*hardware, "-append", line, *SCREEN_AND_KEYBOARD, *arguments]) as machine:
            yield machine

    @contextmanager
    def _machine(self, arguments: Sequence[str | Path]) -> Iterator[Machine]:
        place = Path(tempfile.mkdtemp(prefix="machine-", dir=self.folder))
        with Machine.started(self.builder, place, self.fonts, arguments) as machine:
            yield machine

    def tell_status(self, report: StatusReport, network: Network) -> None:
        """Say what an appliance says of itself. Raises EmulatorError when that is not an empty one's report."""
        if report.state != "empty":
            raise EmulatorError(f"the appliance says that it is {report.state}")
        self.telling.shown(
            f"its signed answer: {report.state}, {network.value}, firmware {report.firmware_hash.hex()[:16]}"
        )


def asked(machine: Machine, seconds: float = 60.0) -> StatusReport:
    """What the appliance on the machine's `LINE` answers to a host's request. Raises EmulatorError."""
    with SerialLink.open(machine.pty("line"), dead_after=seconds) as link:
        try:
            return PlayedHost(over(link, timeout=seconds)).meet()
        except LinkError as error:
            raise EmulatorError(
                f"nothing comes through the line ({error}); on the screen:\n{machine.text()}"
            ) from error
