"""Somebody records every byte of an appliance's line, from a new key over its activation to signatures: no secret.

All forms of all secrets are looked for that the memory scan knows, in the bytes and in the messages put together again.
That the search can fail is shown by planting secrets in what was recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from undercroft_appliance.devtools.key_secrets import KeySecrets, Signed
from undercroft_appliance.devtools.memory_search import Found, Search
from undercroft_appliance.devtools.secret_forms import Secret, forms_of
from undercroft_demo.lone import INPUTS_EACH, LoneAppliance
from undercroft_demo.memscan import PASSPHRASE
from undercroft_demo.played_keys import NETWORK
from undercroft_demo.sniffer import Recording, messages, sniffed
from undercroft_protocol.serial import payload
from undercroft_protocol.serial.frame import Frame, Kind, encode_frame
from undercroft_protocol.squeeze import squeeze

SOME = 5
"""Inputs whose keys and nonces are looked for in every form; those of the others raw and reversed."""


@dataclass(frozen=True)
class Sniffed:
    """What was recorded, and what the recording must not hold."""

    record: Path
    recording: Recording
    secrets: tuple[Secret, ...]
    signed: tuple[Signed, ...]


@pytest.fixture(scope="module")
def sniffer(tmp_path_factory: pytest.TempPathFactory) -> Sniffed:
    record = tmp_path_factory.mktemp("sniffer") / "line"
    with LoneAppliance.started(record.parent, PASSPHRASE, record=record) as appliance:
        appliance.create()
        appliance.bind()
        appliance.lock()
        appliance.unlock()
        appliance.arm()
        signed = appliance.sign(1)
        appliance.lock()
        behind = KeySecrets(appliance.envelopes[-1], PASSPHRASE, NETWORK)
        dice = [Secret.of_text("dice", rolls) for rolls in appliance.owner.rolls]
        inputs = [secret for number, one in enumerate(signed) for secret in behind.of_input(one, brief=number >= SOME)]
        secrets = (*behind.everything(appliance.envelopes), *dice, *inputs)
    return Sniffed(record, sniffed(record), secrets, signed)


def looked_for(secrets: Sequence[Secret], recording: Recording) -> Found:
    return Search(secrets).memories([recording])


def test_attack_a_sniffer_of_the_whole_line_finds_no_secret(sniffer: Sniffed) -> None:
    found = looked_for(sniffer.secrets, sniffer.recording)
    assert [f"{copy.form} of {copy.secret} in {copy.region.name}" for copy in found.copies] == []
    assert found.unreadable == ()
    # It searched what there is: a batch of a hundred inputs and its signatures alone are thousands of bytes.
    assert found.read_bytes > 20_000


def test_the_sniffer_sees_what_is_no_secret(sniffer: Sniffed) -> None:
    assert len(sniffer.signed) == INPUTS_EACH
    names = [name for name, _ in sniffer.recording.parts]
    asked = [name for name in names if name.startswith("message b")]
    answered = [name for name in names if name.startswith("message a")]
    assert len(asked) == len(answered) >= 8
    public = [Secret(f"signature {number}", one.der, brief=True) for number, one in enumerate(sniffer.signed)]
    copies = looked_for(public, sniffer.recording).copies
    seen = {copy.secret for copy in copies if copy.region.name in answered and copy.size >= 64}
    assert seen == {one.name for one in public}


def test_a_secret_planted_anywhere_in_the_recorded_bytes_is_found(sniffer: Sniffed) -> None:
    raw = dict(sniffer.recording.parts)["raw b"]
    for number, secret in enumerate(sniffer.secrets[::7]):
        for form in forms_of(secret):
            at = 1000 + 37 * number
            planted = Recording((("raw b", raw[:at] + form.data + raw[at:]),))
            found = looked_for([secret], planted)
            assert {copy.secret for copy in found.copies} == {secret.name}, form.name


def test_a_secret_inside_a_squeezed_message_is_found(sniffer: Sniffed, tmp_path: Path) -> None:
    raw = dict(sniffer.recording.parts)["raw a"]
    secret = next(one for one in sniffer.secrets if one.name == "passphrase")
    longest = max(messages(raw), key=len)
    leaking = longest[:50] + secret.data.hex().encode() + longest[50:] + longest
    sent = squeeze(leaking)
    assert len(sent) < len(leaking) - 20
    opened = payload.OPEN.pack(99, 1, len(leaking), len(sent), hashlib.sha256(leaking).digest())
    frames = [encode_frame(Frame(Kind.OPEN, b"some", 1, opened))]
    frames += [
        encode_frame(Frame(Kind.DATA, b"some", 2, payload.DATA.pack(start) + sent[start : start + 100]))
        for start in range(0, len(sent), 100)
    ]
    record = tmp_path / "planted"
    record.with_name("planted.a").write_bytes(raw + b"".join(frames))
    record.with_name("planted.b").write_bytes(b"")
    found = looked_for([secret], sniffed(record))
    assert {copy.form for copy in found.copies} == {"hex"}
    assert any(copy.region.name.startswith("message a") for copy in found.copies)
