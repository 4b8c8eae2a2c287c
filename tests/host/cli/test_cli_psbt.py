"""``undercroft psbt sign`` and ``undercroft quorum export``: files in, files out, and the exit codes of their kinds."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from cli_support import Line
from psbt_examples import PsbtAppliance, signed_by, unsigned_psbt
from scripted_appliance import QUORUM, found
from undercroft_host.desk.psbts import short_code
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.messages import Quorum
from undercroft_protocol.qr.wallet_files import AccountForm, QuorumForm, account_file, quorum_file

PSBT = unsigned_psbt(0).serialize()
SIGNED = signed_by("alice", PSBT)


@pytest.fixture
def desk(line: Line) -> Line:
    """A quorum, and alice's armed appliance."""
    store = line.store()
    found(store)
    store.close()
    line.appliances["serial:/dev/alice"] = PsbtAppliance("alice")
    return line


def given(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "in.psbt"
    path.write_bytes(data)
    return str(path)


def test_the_signed_psbt_is_told_in_base64(desk: Line, tmp_path: Path) -> None:
    answer = desk.json("psbt", "sign", given(tmp_path, PSBT), "--to", "alice")
    assert answer == {
        "appliance": "alice",
        "txid": txid_to_hex(unsigned_psbt(0).transaction.txid),
        "code": short_code(PSBT),
        "psbt": base64.b64encode(SIGNED).decode(),
    }
    plain = desk.run("psbt", "sign", given(tmp_path, PSBT), "--to", "alice")
    assert plain.stdout == answer["psbt"] + "\n"
    assert short_code(PSBT) in plain.stderr


@pytest.mark.parametrize("is_base64", [False, True])
def test_a_file_is_written_in_the_form_that_came(desk: Line, tmp_path: Path, is_base64: bool) -> None:
    out = tmp_path / "out.psbt"
    data = base64.b64encode(PSBT) + b"\n" if is_base64 else PSBT
    desk.run("psbt", "sign", given(tmp_path, data), "--to", "alice", "--out", str(out))
    assert out.read_bytes() == (base64.b64encode(SIGNED) + b"\n" if is_base64 else SIGNED)


@pytest.mark.parametrize("data", [b"", b"hello", b"cHNidP8!", PSBT[:-1]])
def test_what_is_no_psbt_is_a_usage_error(desk: Line, tmp_path: Path, data: bytes) -> None:
    desk.error("psbt", "sign", given(tmp_path, data), "--to", "alice", code=2)


def test_an_appliance_that_refuses_is_exit_code_5_or_by_its_state(desk: Line, tmp_path: Path) -> None:
    desk.error("psbt", "sign", given(tmp_path, PSBT), "--to", "nobody", code=3)
    desk.appliances["serial:/dev/alice"].state = "unlocked"
    assert desk.error("psbt", "sign", given(tmp_path, PSBT), "--to", "alice", code=4)["code"] == "appliance-state"


def test_a_file_that_cannot_be_written_is_a_failure_that_says_what_to_do(desk: Line, tmp_path: Path) -> None:
    out = str(tmp_path / "nowhere" / "out.psbt")
    error = desk.error("psbt", "sign", given(tmp_path, PSBT), "--to", "alice", "--out", out, code=1)
    assert "again" in error["hint"]


def test_the_quorum_is_exported_as_it_is_named(desk: Line, tmp_path: Path) -> None:
    path = tmp_path / "quorum.cbor"
    answer = desk.json("quorum", "export", str(path))
    assert Quorum.from_bytes(path.read_bytes()) == QUORUM
    assert answer["id"] == QUORUM.id.hex()
    desk.error("quorum", "export", str(tmp_path / "nowhere" / "quorum.cbor"), code=1)
    assert desk.error("quorum", "export", str(path), "--form", "descriptor", code=4)["code"] == "conflict"
    assert path.read_bytes() == QUORUM.to_bytes()


@pytest.mark.parametrize(
    ("form", "kind", "options"),
    [
        ("descriptor", "text", ()),
        ("coldcard", "text", ("--name", "Cold")),
        ("output", "output", ()),
        ("key", "text", ("--owner", "alice")),
        ("account", "account", ("--owner", "alice")),
        ("account-json", "json", ("--owner", "alice")),
    ],
)
def test_the_quorum_is_exported_as_other_wallets_import_it(
    desk: Line, tmp_path: Path, form: str, kind: str, options: tuple[str, ...]
) -> None:
    path = tmp_path / "wallet"
    answer = desk.json("quorum", "export", str(path), "--form", form, *options)
    assert (answer["form"], answer["kind"]) == (form, kind)
    alice = QUORUM.descriptor().cosigners[[one.name for one in QUORUM.owners].index("alice")]
    made = (
        account_file(AccountForm(form), alice, QUORUM.bitcoin_network)
        if options[:1] == ("--owner",)
        else quorum_file(QuorumForm(form), QUORUM.descriptor(), "Cold")
    )
    assert path.read_bytes() == made.data


@pytest.mark.parametrize(
    "options",
    [
        ("--form", "account"),
        ("--form", "account", "--owner", "mallory"),
        ("--form", "output", "--owner", "alice"),
        ("--owner", "alice"),
        ("--form", "coldcard", "--name", "two\nlines"),
        ("--form", "electrum"),
    ],
)
def test_an_export_that_cannot_be_is_a_usage_error_and_writes_nothing(
    desk: Line, tmp_path: Path, options: tuple[str, ...]
) -> None:
    desk.error("quorum", "export", str(tmp_path / "wallet"), *options, code=2)
    assert list(tmp_path.glob("wallet")) == []


@pytest.mark.parametrize("wallet", ["coldcard-q", "keystone"])
@pytest.mark.parametrize("form", ["descriptor", "coldcard", "output", "key", "account", "account-json"])
def test_what_is_exported_can_be_shown_as_the_kind_that_is_told(
    desk: Line, tmp_path: Path, form: str, wallet: str
) -> None:
    path = tmp_path / "wallet"
    options = ("--owner", "alice") if form in list(AccountForm) else ()
    kind = desk.json("quorum", "export", str(path), "--form", form, *options)["kind"]
    arguments = ("qr", "show", str(path), "--kind", kind, "--wallet", wallet, "--gif", str(tmp_path / "codes.gif"))
    # BBQr has no file type for the registry's items; everything else goes to every wallet.
    if wallet == "coldcard-q" and form in {"output", "account"}:
        desk.error(*arguments, code=2)
    else:
        assert desk.json(*arguments)["codes"] >= 1
