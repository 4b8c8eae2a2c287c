"""Which paths are opened for cameras and screens, whoever changes them meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from undercroft_protocol.errors import CameraError, LinkError, ScreenError
from undercroft_protocol.qr.paths import FIFO, FILE, check_path, open_checked


@pytest.mark.parametrize("error", [CameraError, ScreenError])
@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("rtsp://127.0.0.1/live", "is a URL"),
        ("/dev/../tcp://127.0.0.1", "is a URL"),
        ("fifo", "not an absolute path"),
        ("", "not an absolute path"),
        ("/dev/tty\0", "not an absolute path"),
        ("/dev", "is not a FIFO or a file"),
        ("/none/there", "cannot be reached"),
    ],
)
def test_attack_a_path_of_another_form_or_kind_is_refused_as_the_caller_says(
    path: str, match: str, error: type[LinkError]
) -> None:
    for read in (check_path, lambda *rest: open_checked(rest[0], os.O_RDONLY, *rest[1:])):
        with pytest.raises(error, match=match):
            read(path, FIFO | FILE, error)


def test_attack_a_path_that_is_pointed_elsewhere_after_it_was_looked_at_is_refused_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened, real = tmp_path / "camera", [], os.open
    os.mkfifo(path)

    def swapped(name: str, flags: int) -> int:
        path.unlink()
        path.write_bytes(b"a file")
        opened.append(real(name, flags))
        return opened[0]

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(CameraError, match="is not a FIFO"):
        open_checked(str(path), os.O_RDONLY, FIFO, CameraError)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])
