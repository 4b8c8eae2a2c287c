"""`read-log`: the owner's envelope and passphrase open what no host could read; whatever was changed is found."""

from __future__ import annotations

import dataclasses
import hmac
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from appliance.builders import ALICE, BOB, QUORUM, UTC, FakeClock, PlainKeys, public, stated
from appliance.commands.commands_support import Done, given, pipe_with, run
from undercroft_appliance.devtools.keyring import DevelopmentKeyring
from undercroft_appliance.devtools.read_log import verify_log
from undercroft_appliance.errors import LogFileError, LogSealError
from undercroft_appliance.keeper.clock import Clock
from undercroft_appliance.keeper.log import Log
from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, KernelEntropy
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import MessageError
from undercroft_protocol.messages import LogFile, LogSeal

PASSPHRASE = b"a test passphrase, never real"
SEED = b"\xa1" * 32
IDENTITY = SigningKey(hmac.digest(b"undercroft/1/identity", SEED, "sha512")[:32])
EXACT = ("window-limit: in 1 h 4200 sats > 4000", "fee-share: 12 > 10")


def sealed(log: Log, key: SigningKey = IDENTITY) -> bytes:
    return stated(LogSeal(QUORUM.id, log.length, log.head), key)


def a_log() -> Log:
    keys = PlainKeys(ALICE)
    keys.unlock(ALICE.envelope(QUORUM.id), QUORUM.id)
    clock = Clock(FakeClock())
    clock.confirm(UTC, clock.now())
    log = Log(clock, keys)
    log.append("started", ("network regtest",))
    log.append("refused", ("the host is told: policy",), EXACT)
    log.append("signed", ("signed 00ff",), ("42 sats leave",))
    return log


def a_file(log: Log | None = None) -> LogFile:
    log = log or a_log()
    return LogFile(public(IDENTITY), log.entries_from(0), (sealed(log),))


@pytest.fixture(scope="module")
def envelope(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("envelope") / "alice.cbor"
    descriptors = [pipe_with(PASSPHRASE), pipe_with(SEED)]
    options = ("--passphrase-fd", str(descriptors[0]), "--seed-fd", str(descriptors[1]), "--kdf", "demo")
    done = run("new-envelope", *options, "--out", path, pass_fds=descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    assert done.code == 0, done.err
    return path


def read(envelope: Path, log: Path, *options: str, passphrase: bytes = PASSPHRASE) -> Done:
    descriptor = pipe_with(passphrase)
    try:
        known = ("--envelope", envelope, "--passphrase-fd", str(descriptor), "--kdf", "demo")
        return run("read-log", *known, *options, log, pass_fds=[descriptor])
    finally:
        os.close(descriptor)


def test_the_owner_reads_every_entry_with_its_exact_facts(envelope: Path, tmp_path: Path) -> None:
    path = given(tmp_path, "alice.log", a_file().to_bytes())
    done = read(envelope, path)
    assert (done.code, done.err) == (0, "")
    lines = done.out.decode().splitlines()
    assert lines[0].endswith("started")
    assert [line.strip() for line in lines[3:6]] == ["the host is told: policy", *EXACT]
    answer = read(envelope, path, "--json").answer
    assert (answer["identity"], answer["whole"], answer["missing"]) == (public(IDENTITY).hex(), True, [])
    assert [entry["exact"] for entry in answer["entries"]] == [[], list(EXACT), ["42 sats leave"]]


def test_a_gap_is_named_and_what_is_there_is_shown(envelope: Path, tmp_path: Path) -> None:
    log = a_log()
    before = sealed(log)
    for at in range(3):
        log.append("signed", (f"signed {at}",))
    entries = log.entries_from(0)
    file = LogFile(public(IDENTITY), (*entries[:3], *entries[5:]), (before, sealed(log)))
    done = read(envelope, given(tmp_path, "alice.log", file.to_bytes()))
    assert (done.code, done.err) == (1, "entries 3 to 4 are missing\n")
    assert b"signed 2" in done.out


def test_a_wrong_passphrase_and_a_file_that_is_none(envelope: Path, tmp_path: Path) -> None:
    path = given(tmp_path, "alice.log", a_file().to_bytes())
    assert "wrong-passphrase" in read(envelope, path, passphrase=b"another passphrase").err
    assert "log-file" in read(envelope, given(tmp_path, "nothing", b"nothing at all")).err
    assert read(envelope, tmp_path / "not there").code == 2


def test_attack_another_appliances_log_has_nothing_to_hide(envelope: Path, tmp_path: Path) -> None:
    log = a_log()
    file = LogFile(public(BOB.identity), log.entries_from(0), (sealed(log, BOB.identity),))
    assert "by another key" in read(envelope, given(tmp_path, "bob.log", file.to_bytes())).err


def _left_out(file: LogFile) -> LogFile:
    return dataclasses.replace(file, entries=(file.entries[0], file.entries[2]))


def _swapped_parts(file: LogFile) -> LogFile:
    first, second = file.entries[1], file.entries[2]
    return dataclasses.replace(
        file, entries=(file.entries[0], dataclasses.replace(first, sealed=second.sealed), second)
    )


def _cut_at_the_end(file: LogFile) -> LogFile:
    return dataclasses.replace(file, entries=file.entries[:2])


def _without_seal(file: LogFile) -> LogFile:
    return dataclasses.replace(file, seals=())


def _sealed_by_another(file: LogFile) -> LogFile:
    return dataclasses.replace(file, seals=(sealed(a_log(), BOB.identity),))


def _changed_last(file: LogFile) -> LogFile:
    last = dataclasses.replace(file.entries[2], event="refused")
    return dataclasses.replace(file, entries=(*file.entries[:2], last))


@pytest.mark.parametrize(
    "mutation",
    [_left_out, _swapped_parts, _cut_at_the_end, _without_seal, _sealed_by_another, _changed_last],
    ids=lambda mutation: mutation.__name__.strip("_"),
)
def test_attack_a_log_that_was_changed_on_its_way_out(mutation: Callable[[LogFile], LogFile]) -> None:
    verify_log(a_file())
    with pytest.raises(LogFileError):
        verify_log(mutation(a_file()))


def test_attack_a_sealed_part_in_a_chain_made_anew_does_not_open() -> None:
    file = a_file()
    with DevelopmentKeyring(
        network=Network.REGTEST, entropy=KernelEntropy(), kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST
    ) as keys:
        descriptor = pipe_with(PASSPHRASE)
        keys.take_passphrase(descriptor, new=False)
        os.close(descriptor)
        keys.make_draft(lambda slot: slot.store_public(SEED))
        first, second = file.entries[1], file.entries[2]
        assert keys.open_log(first.sealed or b"", first.associated_data())
        with pytest.raises(LogSealError):
            keys.open_log(second.sealed or b"", first.associated_data())
        for at in (0, 24, -1):
            changed = bytearray(first.sealed or b"")
            changed[at] ^= 1
            with pytest.raises(LogSealError):
                keys.open_log(bytes(changed), first.associated_data())
        sealed_here = keys.seal_log(b"exact", b"entry")
        assert keys.open_log(sealed_here, b"entry") == b"exact"
        assert keys.seal_log(b"exact", b"entry") != sealed_here


def test_a_long_log_goes_to_a_file_and_back() -> None:
    log = a_log()
    for _ in range(1900):
        log.append("signed", ("signed",), ("exact",))
    file = LogFile(public(IDENTITY), log.snapshot().entries, (sealed(log), sealed(log)))
    assert LogFile.from_bytes(file.to_bytes()) == file
    empty = LogFile(public(IDENTITY), (), ())
    assert LogFile.from_bytes(empty.to_bytes()) == empty


@pytest.mark.parametrize("data", [b"", b"\0\0\0\0", b"\0\0\0\5abc", b"\xff\xff\xff\xff\0"])
def test_attack_a_log_file_with_lengths_that_lie(data: bytes) -> None:
    with pytest.raises(MessageError):
        LogFile.from_bytes(data)


def test_attack_two_appliances_logs_in_one_file() -> None:
    both = a_file().to_bytes() + LogFile(public(BOB.identity), (), ()).to_bytes()
    with pytest.raises(MessageError, match="one identity"):
        LogFile.from_bytes(both)
