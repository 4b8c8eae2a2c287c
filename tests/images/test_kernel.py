"""What is asked of a kernel is what it has: options, root, command line. None is built here."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_images.errors import ImageError
from undercroft_images.kernel import COMMAND_LINE, check_linked, check_names, check_options, without

_WANTED = '# walls\nCONFIG_LOCKDOWN=y\nCONFIG_NAME="a b"\n# CONFIG_INET is not set\n'


def test_options_that_were_taken_pass() -> None:
    check_options(_WANTED, 'CONFIG_NAME="a b"\nCONFIG_LOCKDOWN=y\nCONFIG_MORE=y\n# CONFIG_INET is not set\n')
    check_options(_WANTED, 'CONFIG_NAME="a b"\nCONFIG_LOCKDOWN=y\n')


@pytest.mark.parametrize(
    ("have", "lost"),
    [
        ('CONFIG_NAME="a b"\n# CONFIG_LOCKDOWN is not set\n', "CONFIG_LOCKDOWN=y"),
        ('CONFIG_NAME="a"\nCONFIG_LOCKDOWN=y\n', "CONFIG_NAME"),
        ('CONFIG_NAME="a b"\nCONFIG_LOCKDOWN=y\nCONFIG_INET=y\n', "# CONFIG_INET is not set"),
    ],
)
def test_attack_a_wall_that_kconfig_left_out_stops_the_build(have: str, lost: str) -> None:
    with pytest.raises(ImageError, match=lost):
        check_options(_WANTED, have)


def test_mishap_a_wall_that_has_another_name_in_this_kernel_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/Kconfig").write_text('config INET\n\tbool "x"\nmenuconfig NAME\n\tbool\n', encoding="ascii")
    (tmp_path / "Kconfig.security").write_text("if NAME\n  config LOCKDOWN\nendif\n", encoding="ascii")
    check_names(_WANTED, tmp_path)
    with pytest.raises(ImageError, match="of these names: INETS"):
        check_names(f"{_WANTED}# CONFIG_INETS is not set\n", tmp_path)


def test_options_that_are_named_anew_replace_the_old_ones() -> None:
    old = ["CONFIG_A=y", "# CONFIG_B is not set", "CONFIG_AB=y", "# words"]
    assert without(old, "CONFIG_B=y\n# CONFIG_A is not set") == ["CONFIG_AB=y", "# words"]


def test_mishap_a_kernel_that_make_did_not_link_anew_is_refused() -> None:
    root, line = bytes(range(256)) * 9, COMMAND_LINE.encode() + b"\0"
    check_linked(b"kernel" + root + b"more" + line, root)
    for image in (b"kernel" + line, b"kernel" + root, b"kernel" + root + line[:-1] + b" init=/bin/sh\0"):
        with pytest.raises(ImageError, match="clock"):
            check_linked(image, root)
