"""What other wallets import: every form says the same quorum, and other people's code reads it."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from embit.bip32 import HDKey
from embit.descriptor import Descriptor

from scripted_appliance import QUORUM
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.bbqr import BbqrSink
from undercroft_protocol.qr.presets import PRESETS, preset, source_for
from undercroft_protocol.qr.stream import Format, Kind
from undercroft_protocol.qr.ur import UrSink
from undercroft_protocol.qr.ur.registry import AccountDescriptor, OutputDescriptor
from undercroft_protocol.qr.wallet_files import AccountForm, QuorumForm, account_file, path_text, quorum_file

DESCRIPTOR = QUORUM.descriptor()
NETWORK = QUORUM.bitcoin_network


def test_the_descriptor_is_read_by_embit_and_gives_our_addresses() -> None:
    found = quorum_file(QuorumForm.DESCRIPTOR, DESCRIPTOR, "x")
    assert found.kind is Kind.TEXT
    text = found.data.decode().strip()
    assert QuorumDescriptor.parse(text, NETWORK) == DESCRIPTOR
    theirs = Descriptor.from_string(text.split("#")[0])
    assert theirs.derive(7, branch_index=1).script_pubkey().data == DESCRIPTOR.script(1, 7)


def test_the_coldcard_file_says_the_whole_quorum() -> None:
    found = quorum_file(QuorumForm.COLDCARD, DESCRIPTOR, "Cold 2-of-3")
    text = found.data.decode()
    assert found.kind is Kind.TEXT
    assert text.splitlines()[:5] == [
        "Name: Cold 2-of-3",
        "Policy: 2 of 3",
        "Format: P2WSH",
        f"Derivation: {path_text(DESCRIPTOR.cosigners[0].path)}",
        "",
    ]
    keys = re.findall(r"^([0-9A-F]{8}): ([1-9A-Za-z]{100,112})$", text, re.MULTILINE)
    assert keys == [(one.fingerprint.hex().upper(), one.xpub.text()) for one in DESCRIPTOR.cosigners]


@pytest.mark.parametrize(
    "name", ["", "x" * 21, "a\nPolicy: 1 of 3", "a\r", "n\u00e4me", " a", "a ", "a\u202eb", "a\x7f"]
)
def test_attack_a_name_that_could_carry_another_line_is_refused(name: str) -> None:
    with pytest.raises(QrError, match="name"):
        quorum_file(QuorumForm.COLDCARD, DESCRIPTOR, name)


def test_the_output_is_the_quorum() -> None:
    found = quorum_file(QuorumForm.OUTPUT, DESCRIPTOR, "x")
    assert found.kind is Kind.OUTPUT
    assert OutputDescriptor.from_item(found.data, NETWORK).quorum == DESCRIPTOR


@pytest.mark.parametrize("at", range(3))
def test_an_account_is_its_owners_in_every_form(at: int) -> None:
    cosigner = DESCRIPTOR.cosigners[at]
    key = account_file(AccountForm.KEY, cosigner, NETWORK)
    assert (key.kind, key.data.decode()) == (Kind.TEXT, cosigner.text() + "\n")
    account = account_file(AccountForm.ACCOUNT, cosigner, NETWORK)
    assert account.kind is Kind.ACCOUNT
    assert AccountDescriptor.from_item(account.data, NETWORK).key == cosigner
    exported = account_file(AccountForm.ACCOUNT_JSON, cosigner, NETWORK)
    fields = json.loads(exported.data)
    assert exported.kind is Kind.JSON
    assert fields["p2wsh_deriv"] == path_text(cosigner.path) and fields["xfp"] == cosigner.fingerprint.hex().upper()
    theirs = HDKey.from_string(fields["p2wsh"])
    assert (theirs.key.sec(), theirs.chain_code) == (cosigner.xpub.public_key, cosigner.xpub.chain_code)


@pytest.mark.parametrize(("network", "prefix"), [(Network.MAINNET, "Zpub"), (Network.SIGNET, "Vpub")])
def test_the_json_names_the_kind_of_key_by_slip_132(network: Network, prefix: str) -> None:
    found = account_file(AccountForm.ACCOUNT_JSON, DESCRIPTOR.cosigners[0], network)
    assert json.loads(found.data)["p2wsh"].startswith(prefix)


def test_a_path_is_written_with_apostrophes() -> None:
    assert path_text(DESCRIPTOR.cosigners[0].path) in {"m/48'/0'/0'/2'", "m/48'/1'/0'/2'"}
    assert path_text(()) == "m" and path_text((0, 5)) == "m/0/5"


@pytest.mark.parametrize("name", PRESETS)
def test_every_wallet_is_shown_the_set_up_file_and_reads_it_back(name: str) -> None:
    file = quorum_file(QuorumForm.COLDCARD, DESCRIPTOR, "Undercroft")
    chosen = preset(name)
    source = source_for(chosen, file.kind, file.data)
    sink = BbqrSink(limit=5000) if chosen.format is Format.BBQR else UrSink(limit=5000)
    found = [sink.take(source.next_symbol()) for _ in range(source.count)][-1]
    assert found is not None and found.data == file.data


@pytest.mark.parametrize("name", [one.name for one in PRESETS.values() if one.format is Format.UR])
def test_every_reader_of_ur_is_shown_the_output_and_an_account(name: str) -> None:
    for file in (
        quorum_file(QuorumForm.OUTPUT, DESCRIPTOR, "x"),
        account_file(AccountForm.ACCOUNT, DESCRIPTOR.cosigners[0], NETWORK),
    ):
        source = source_for(preset(name), file.kind, file.data)
        sink = UrSink(limit=5000)
        found = [sink.take(source.next_symbol()) for _ in range(source.count)][-1]
        assert found is not None and (found.kind, found.data) == (file.kind, file.data)


def test_the_forms_differ_when_the_quorum_does() -> None:
    one, two, three = DESCRIPTOR.cosigners
    other = dataclasses.replace(DESCRIPTOR, cosigners=(two, one, three))
    for form in QuorumForm:
        assert quorum_file(form, DESCRIPTOR, "x") != quorum_file(form, other, "x")
