"""What a board's device tree must and must not have; the trees themselves are checked when they are compiled."""

from __future__ import annotations

import re
from typing import Any

import pytest

from images.card_support import cells, flat, strings
from undercroft_images import device_tree, fdt
from undercroft_images.device_tree import BOARDS, EMULATED, SOURCES, VARIANTS, check
from undercroft_images.errors import ImageError


def good_tree() -> dict[str, Any]:
    """As small as a board's tree can be."""
    return {
        "compatible": strings("raspberrypi,4-model-b", "brcm,bcm2711"),
        "aliases": {"serial0": strings("/soc/serial@7e201000")},
        "chosen": {},
        "soc": {
            "compatible": strings("simple-bus"),
            "gpio@7e200000": {
                "compatible": strings("brcm,bcm2711-gpio"),
                "uart0-gpio14": {"brcm,pins": cells(14, 15), "phandle": cells(7)},
                "uart0-gpio32": {"brcm,pins": cells(32, 33), "phandle": cells(8)},
            },
            "serial@7e201000": {"compatible": strings("arm,pl011", "arm,primecell"), "pinctrl-0": cells(7)},
            "serial@7e215040": {"compatible": strings("brcm,bcm2835-aux-uart"), "status": strings("disabled")},
            "ethernet@7d580000": {
                "compatible": strings("brcm,bcm2711-genet-v5"),
                "status": strings("disabled"),
                "mdio@e14": {"compatible": strings("brcm,genet-mdio-v5")},
            },
            "mmc@7e300000": {"compatible": strings("brcm,bcm2835-sdhci"), "status": strings("disabled")},
            "firmware": {
                "compatible": strings("raspberrypi,bcm2835-firmware"),
                "gpio": {
                    "compatible": strings("raspberrypi,firmware-gpio"),
                    "bluetooth-off": {"gpio-hog": b"", "gpios": cells(0, 0), "output-low": b""},
                    "wireless-off": {"gpio-hog": b"", "gpios": cells(1, 0), "output-low": b""},
                },
            },
        },
    }


def checked(tree: dict[str, Any], variant: str = "") -> None:
    check(fdt.read(flat(tree)), variant)


def test_a_tree_without_radio_network_and_storage_passes() -> None:
    checked(good_tree())


def test_attack_a_radio_a_network_or_a_card_that_is_in_use_stops_the_build() -> None:
    for name, compatible in (
        ("wifi@1", "brcm,bcm4329-fmac"),
        ("bluetooth", "brcm,bcm43438-bt"),
        ("ethernet@7d580000", "brcm,bcm2711-genet-v5"),
        ("mmc@7e340000", "brcm,bcm2711-emmc2"),
        ("usb@7e9c0000", "brcm,bcm2711-xhci"),
    ):
        tree = good_tree()
        tree["soc"][name] = {"compatible": strings(compatible)}
        with pytest.raises(ImageError, match=f"{name}.*{compatible}"):
            checked(tree)


def test_attack_a_radio_below_a_serial_line_stops_the_build() -> None:
    tree = good_tree()
    tree["soc"]["serial@7e201000"]["bluetooth"] = {"compatible": strings("brcm,bcm43438-bt")}
    with pytest.raises(ImageError, match="bluetooth"):
        checked(tree)


def test_attack_an_unknown_word_of_status_is_no_way_to_hide_a_device() -> None:
    # A kernel takes "okay" and "ok" only; what stands here otherwise is off for it too.
    tree = good_tree()
    tree["soc"]["mmc@7e300000"]["status"] = strings("ok")
    with pytest.raises(ImageError, match="mmc@7e300000"):
        checked(tree)


@pytest.mark.parametrize("name", ["bluetooth-off", "wireless-off"])
@pytest.mark.parametrize("change", ["missing", "high", "active low", "only named"])
def test_attack_a_radio_that_is_not_held_off_stops_the_build(name: str, change: str) -> None:
    tree = good_tree()
    hogs = tree["soc"]["firmware"]["gpio"]
    if change == "missing":
        del hogs[name]
    elif change == "high":
        hogs[name] = {"gpio-hog": b"", "gpios": hogs[name]["gpios"], "output-high": b""}
    elif change == "active low":
        hogs[name]["gpios"] = hogs[name]["gpios"][:4] + cells(1)
    else:
        del hogs[name]["gpio-hog"]
    with pytest.raises(ImageError, match="is not held low"):
        checked(tree)


def test_attack_a_console_or_a_command_line_in_the_tree_stops_the_build() -> None:
    for name in ("stdout-path", "bootargs"):
        tree = good_tree()
        tree["chosen"][name] = strings("serial0:115200n8")
        with pytest.raises(ImageError, match="console or a command line"):
            checked(tree)


def test_the_line_is_the_pl011_on_the_headers_pins_and_alone() -> None:
    tree = good_tree()
    tree["soc"]["serial@7e201000"]["pinctrl-0"] = cells(8)
    with pytest.raises(ImageError, match="GPIO 14 and 15"):
        checked(tree)
    tree = good_tree()
    tree["soc"]["serial@7e201400"] = {"compatible": strings("arm,pl011")}
    with pytest.raises(ImageError, match="only serial device"):
        checked(tree)
    tree = good_tree()
    tree["soc"]["serial@7e201000"]["status"] = strings("disabled")
    with pytest.raises(ImageError, match="only serial device"):
        checked(tree)


def test_attack_a_tree_for_practice_under_the_name_of_one_for_money_stops_the_build() -> None:
    tree = good_tree()
    tree["chosen"]["undercroft,network"] = strings("regtest")
    with pytest.raises(ImageError, match="regtest"):
        checked(tree)
    checked(tree, "-practice")
    with pytest.raises(ImageError, match="usb"):
        checked(tree, "-usb")


def test_attack_a_shipped_tree_never_asks_for_weak_envelopes() -> None:
    for variant in VARIANTS:
        tree = good_tree()
        tree["chosen"] |= {name: strings(*texts) for name, texts in device_tree.CHOSEN[variant].items()}
        checked(tree, variant)
        tree["chosen"]["undercroft,kdf"] = strings("demo")
        with pytest.raises(ImageError, match="demo"):
            checked(tree, variant)


def test_a_damaged_tree_is_refused() -> None:
    good = flat(good_tree())
    for data in (b"", good[:-1], good[:40], b"\0" * len(good), good[:4] + cells(len(good) - 4) + good[8:-4]):
        with pytest.raises(ImageError):
            fdt.read(data)
    for place in range(0, len(good), 3):
        changed = bytearray(good)
        changed[place] ^= 0xFF
        try:
            fdt.read(bytes(changed))
        except ImageError:
            continue


def test_what_may_be_in_use_is_no_radio_network_or_storage() -> None:
    bad = re.compile(r"wifi|wlan|fmac|43\d\d\d?|bluetooth|-bt$|genet|ethernet|mdio|sdhci|sdhost|emmc|mmc|nand|spi|nvme")
    known = device_tree.allowed()
    assert len(known) > 40
    assert not [one for one in known if bad.search(one)]


def test_the_configuration_of_the_firmware_names_the_trees_that_are_compiled_and_no_overlay() -> None:
    config = (SOURCES / "config.txt").read_text(encoding="ascii")
    named = re.findall(r"^device_tree=(.*)$", config, re.MULTILINE)
    assert sorted(named) == sorted(f"{board}{variant}.dtb" for board in BOARDS for variant in VARIANTS)
    assert not re.search(
        r"^(dtoverlay|dtparam|include|initramfs|ramfsfile|cmdline|uart_2ndstage)", config, re.MULTILINE
    )
    # Of a longer line the firmware reads the beginning only.
    assert max(map(len, config.splitlines())) <= 80


def test_attack_no_tree_for_the_emulator_with_its_weak_envelopes_gets_onto_a_card() -> None:
    assert not EMULATED.keys() & {f"{board}{variant}" for board in BOARDS for variant in VARIANTS}
    config = (SOURCES / "config.txt").read_text(encoding="ascii")
    assert not [name for name in EMULATED if name in config]
    assert all((SOURCES / f"{source}.dts").exists() for source in EMULATED.values())


def chosen_tree(config: str, board: str, low: frozenset[int]) -> str:
    """What the firmware takes: filters of a kind replace each other, those of different kinds hold together."""
    model, pin, taken = True, True, ""
    for line in config.splitlines():
        if line == "[all]":
            model = pin = True
        elif found := re.fullmatch(r"\[gpio(\d+)=0\]", line):
            pin = int(found[1]) in low
        elif line.startswith("["):
            # A CM4 sees what is for a Pi 4 as well.
            model = line[1:-1] in ({"pi4", "cm4"} if board == "cm4" else {"pi4"})
        elif model and pin and line.startswith("device_tree="):
            taken = line.partition("=")[2]
    return taken


@pytest.mark.parametrize("board", BOARDS)
def test_jumpers_choose_among_the_boards_own_trees(board: str) -> None:
    config = (SOURCES / "config.txt").read_text(encoding="ascii")
    assert chosen_tree(config, board, frozenset()) == f"{board}.dtb"
    assert chosen_tree(config, board, frozenset({4})) == f"{board}-usb.dtb"
    assert chosen_tree(config, board, frozenset({5})) == f"{board}-practice.dtb"
    assert chosen_tree(config, board, frozenset({4, 5})) == f"{board}-practice.dtb"
