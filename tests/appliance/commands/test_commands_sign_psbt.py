"""`new-envelope` and `sign-psbt`: the appliance's own stages with a known test key; byte for byte what embit signs."""

from __future__ import annotations

import base64
import os
import pty
import sys
from pathlib import Path

import pytest

from appliance.builders import ALICE, COIN_SATS, DESCRIPTOR, P2WPKH, QUORUM
from appliance.commands.commands_support import POLICY_TEXT, Done, given, pipe_with, quorum_file, run
from appliance.coordinator import good_psbt
from undercroft_appliance.devtools.keyring import DevelopmentKeyring
from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, KernelEntropy
from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.messages import Envelope

PASSPHRASE = b"a test passphrase, never real"
SEED = b"\xa1" * 32
TEXT = DESCRIPTOR.text()
PSBT = good_psbt().serialize()
ALLOWED = f'allowlist = ["{address_of(P2WPKH, Network.REGTEST)}"]\n'


def made(path: Path, *options: str, seed: bytes | None = SEED, passphrase: bytes = PASSPHRASE + b"\n") -> Done:
    descriptors = [pipe_with(passphrase)] + ([] if seed is None else [pipe_with(seed)])
    known = () if seed is None else ("--seed-fd", str(descriptors[1]))
    try:
        arguments = ("--passphrase-fd", str(descriptors[0]), *known, "--kdf", "demo", "--out", path, *options)
        return run("new-envelope", *arguments, pass_fds=descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def signed(
    envelope: Path, *options: str | Path, psbt: bytes = PSBT, passphrase: bytes = PASSPHRASE, quorum: str | Path = TEXT
) -> Done:
    descriptor = pipe_with(passphrase)
    try:
        known = ("--envelope", envelope, "--quorum", quorum, "--passphrase-fd", str(descriptor), "--kdf", "demo")
        return run("sign-psbt", *known, *options, "-", stdin=psbt, pass_fds=[descriptor])
    finally:
        os.close(descriptor)


@pytest.fixture(scope="module")
def envelope(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("envelope") / "alice.cbor"
    assert made(path).code == 0
    return path


def test_a_known_seed_gives_the_key_that_embit_derives_and_a_draft_envelope(tmp_path: Path) -> None:
    path = tmp_path / "alice.cbor"
    done = made(path)
    assert done.out.decode() == f"[{ALICE.entry.fingerprint.hex()}/48h/1h/0h/2h]{ALICE.xpub.text()}/<0;1>/*\n"
    envelope = Envelope.from_bytes(path.read_bytes())
    assert (envelope.quorum_id, envelope.xpub) == (None, ALICE.entry.xpub)


def test_without_a_seed_every_key_is_another_one(tmp_path: Path) -> None:
    expressions = {made(tmp_path / name, seed=None).out for name in ("one", "two")}
    assert len(expressions) == 2


def test_an_envelope_is_never_written_over(tmp_path: Path) -> None:
    path = given(tmp_path, "there", b"something else")
    assert made(path).code == 2
    assert path.read_bytes() == b"something else"


@pytest.mark.parametrize("seed", [b"", SEED[:-1], SEED + b"\n", SEED.hex().encode()])
def test_a_seed_is_exactly_32_bytes(tmp_path: Path, seed: bytes) -> None:
    assert made(tmp_path / "out", seed=seed).code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("passphrase", [b"", b"\n", b"too short\n", b"x" * 300 + b"\n"])
def test_a_passphrase_has_its_length(tmp_path: Path, passphrase: bytes) -> None:
    done = made(tmp_path / "out", passphrase=passphrase)
    assert (done.code, (tmp_path / "out").exists()) == (1, False)
    assert "error [passphrase-length]" in done.err


def test_attack_weak_envelopes_are_refused_on_mainnet(tmp_path: Path) -> None:
    done = made(tmp_path / "out", "--network", "mainnet")
    assert (done.code, (tmp_path / "out").exists()) == (2, False)


def test_a_signature_is_the_one_that_embit_makes_and_the_psbt_is_otherwise_the_same(envelope: Path) -> None:
    done = signed(envelope)
    assert done.code == 0, done.err
    after, before = Psbt.parse(done.out), Psbt.parse(PSBT)
    (signatures,) = after.verified_signatures()
    assert after == before.with_signatures(0, signatures)
    digest = SegwitV0Sighash(before.transaction).digest(0, before.inputs[0].witness_script, COIN_SATS)
    key = ALICE.account.derive([0, 0]).key
    assert signatures == {key.get_public_key().serialize(): key.sign(digest, grind=True).serialize() + b"\x01"}


def test_base64_in_is_base64_out(envelope: Path) -> None:
    text = signed(envelope, psbt=base64.b64encode(PSBT) + b"\n").out
    assert base64.b64decode(text.rstrip(b"\n"), validate=True) == signed(envelope).out


def test_a_policy_is_asked_and_nobody_can_approve(envelope: Path, tmp_path: Path) -> None:
    held = signed(envelope, "--policy", given(tmp_path, "held.toml", POLICY_TEXT))
    assert (held.code, held.out) == (6, b"")
    assert "uncleared-payee" in held.err
    assert signed(envelope, "--policy", given(tmp_path, "allowed.toml", ALLOWED + POLICY_TEXT)).code == 0
    text = ALLOWED + POLICY_TEXT.replace("most_fee_sats = 100_000", "most_fee_sats = 1")
    refused = signed(envelope, "--policy", given(tmp_path, "refused.toml", text))
    assert (refused.code, refused.out) == (5, b"")
    assert "fee-limit" in refused.err


@pytest.mark.parametrize("psbt", [b"", b"\x00" * 100, PSBT[:-1]])
def test_attack_what_cannot_be_proved_is_not_signed_and_no_passphrase_is_asked_for(envelope: Path, psbt: bytes) -> None:
    done = signed(envelope, psbt=psbt, passphrase=b"")
    assert (done.code, done.out) == (5, b"")


def test_a_wrong_passphrase_is_a_failure(envelope: Path) -> None:
    done = signed(envelope, passphrase=b"not that passphrase")
    assert (done.code, done.out) == (1, b"")
    assert "error [wrong-passphrase]" in done.err


def test_an_envelope_of_somebody_else_or_none_at_all_is_exit_code_2(tmp_path: Path, envelope: Path) -> None:
    other = tmp_path / "other.cbor"
    made(other, seed=b"\x77" * 32)
    assert signed(other).code == 2
    assert signed(tmp_path / "nothing").code == 2
    assert signed(given(tmp_path, "garbage", b"garbage")).code == 2


def test_attack_a_demo_envelope_is_not_opened_where_production_is_asked_for(envelope: Path) -> None:
    done = signed(envelope, "--kdf", "production")
    assert (done.code, done.out) == (1, b"")
    assert "error [envelope]" in done.err


def test_without_a_terminal_and_without_a_descriptor_there_is_no_passphrase(envelope: Path) -> None:
    done = run("sign-psbt", "--envelope", envelope, "--quorum", TEXT, "--kdf", "demo", "-", stdin=PSBT)
    assert (done.code, done.out) == (2, b"")
    assert "--passphrase-fd" in done.err


def test_the_passphrase_may_be_typed_at_the_controlling_terminal(envelope: Path, tmp_path: Path) -> None:
    psbt = given(tmp_path, "in.psbt", PSBT)
    out = tmp_path / "out.psbt"
    pid, master = pty.fork()
    if pid == 0:
        with out.open("wb") as file:
            os.dup2(file.fileno(), 1)
        arguments = ["sign-psbt", "--envelope", str(envelope), "--quorum", TEXT, "--kdf", "demo", str(psbt)]
        os.execv(sys.executable, [sys.executable, "-m", "undercroft_appliance.main", *arguments])  # noqa: S606 - no shell is meant
    shown = b""
    while b"Passphrase: " not in shown:
        shown += os.read(master, 1000)
    os.write(master, PASSPHRASE + b"\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(master)
    assert out.read_bytes() == signed(envelope).out


def bound_envelope(envelope: Path, path: Path) -> Path:
    """The same key, bound to the test quorum as its owner does at the ceremony."""
    descriptor = pipe_with(PASSPHRASE)
    network, entropy = Network.REGTEST, KernelEntropy()
    with DevelopmentKeyring(network=network, entropy=entropy, kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST) as keys:
        keys.take_passphrase(descriptor, new=False)
        bound = keys.rebind(Envelope.from_bytes(envelope.read_bytes()), QUORUM.id)
    os.close(descriptor)
    return given(path, "bound.cbor", bound.to_bytes())


def test_a_bound_envelope_is_opened_for_its_quorum_and_no_other_way(envelope: Path, tmp_path: Path) -> None:
    bound = bound_envelope(envelope, tmp_path)
    assert signed(bound).code == 2
    assert signed(bound, quorum=quorum_file(tmp_path)).out == signed(envelope).out
