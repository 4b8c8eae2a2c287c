"""Which board a device tree describes, on made-up trees: each refusal, and what nothing in a tree can weaken."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_appliance.boot.board import Board
from undercroft_appliance.errors import BootError
from undercroft_protocol.bitcoin.network import Network

EMULATOR = "linux,dummy-virt"
PI = ("raspberrypi,4-model-b", "brcm,bcm2711")


def tree(place: Path, *compatible: str, **chosen: str) -> Path:
    """A device tree; each of ``chosen`` is a property of /chosen with the prefix "undercroft,"."""
    (place / "chosen").mkdir()
    (place / "compatible").write_bytes(b"".join(name.encode() + b"\0" for name in compatible))
    for name, value in chosen.items():
        (place / "chosen" / f"undercroft,{name}").write_bytes(value.encode() + b"\0")
    return place


def test_an_emulator_is_for_tests(tmp_path: Path) -> None:
    board = Board.found(tree(tmp_path, EMULATOR))
    assert (board.network, board.kdf, board.line) == (Network.REGTEST, "demo", "/dev/ttyAMA0")
    assert not board.is_gadget


def test_attack_an_emulator_never_holds_mainnet_keys(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="no mainnet keys"):
        Board.found(tree(tmp_path, EMULATOR, network="mainnet"))


def test_a_pi_without_a_word_is_for_mainnet_with_strong_envelopes(tmp_path: Path) -> None:
    board = Board.found(tree(tmp_path, *PI))
    assert (board.name, board.network, board.kdf) == (PI[0], Network.MAINNET, "production")
    assert (board.line, board.terminals, board.codes) == ("/dev/ttyAMA0", ("/dev/tty1",), "/dev/tty2")
    assert len({*board.terminals, board.codes, board.log}) == 3


def test_a_pi_can_be_for_a_test_network_and_then_quick(tmp_path: Path) -> None:
    board = Board.found(tree(tmp_path, *PI, network="testnet", kdf="demo"))
    assert (board.network, board.kdf) == (Network("testnet"), "demo")


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"kdf": "demo"}, "refused on mainnet"),
        ({"kdf": "demo", "network": "mainnet"}, "refused on mainnet"),
        ({"kdf": "none", "network": "regtest"}, "refused on regtest"),
        ({"network": "litecoin"}, "no network 'litecoin'"),
        ({"network": "regtest\0mainnet"}, "several things"),
        ({"line": "wifi"}, "neither uart nor usb"),
    ],
)
def test_attack_a_device_tree_weakens_nothing(tmp_path: Path, chosen: dict[str, str], reason: str) -> None:
    with pytest.raises(BootError, match=reason):
        Board.found(tree(tmp_path, *PI, **chosen))


def test_the_line_is_the_usb_port_where_the_tree_says_so(tmp_path: Path) -> None:
    board = Board.found(tree(tmp_path, *PI, line="usb"))
    assert (board.line, board.is_gadget) == ("/dev/ttyGS0", True)


@pytest.mark.parametrize("compatible", [(), ("acme,router",), ("linux,dummy-virt2",)])
def test_a_board_that_no_image_is_made_for_is_refused(tmp_path: Path, compatible: tuple[str, ...]) -> None:
    with pytest.raises(BootError, match="no image is made for this board"):
        Board.found(tree(tmp_path, *compatible))


def test_a_machine_without_a_device_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="without a name"):
        Board.found(tmp_path / "nothing")
