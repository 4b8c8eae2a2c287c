"""A folder is brought to an appliance: each request is delivered in order, and its answer lies beside it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import message_examples as examples
from exchange import NOW
from psbt_examples import PsbtAppliance, signed_by, unsigned_psbt
from scripted_appliance import QUORUM, VAULT, ScriptedAppliance
from undercroft_host.desk.carry import Carried, Courier, answers
from undercroft_host.errors import ApplianceSilent, ApplianceUnplugged
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import LinkDeadError, LinkError, LinkTimeoutError
from undercroft_protocol.link_folder import LinkFolder, Name
from undercroft_protocol.messages import (
    RefusalReply,
    ReplyHeader,
    RequestHeader,
    StatusRequest,
    seal_reply,
    seal_request,
)

PSBT = unsigned_psbt(0).serialize()
OTHER_PSBT = unsigned_psbt(1).serialize()
SIGNED = signed_by("alice", PSBT)


def request(number: int) -> bytes:
    header = RequestHeader(QUORUM.id, bytes(16), number, NOW + 600)
    return seal_request(header, StatusRequest(), VAULT.public_key, VAULT.sign)


@pytest.fixture
def folder(tmp_path: Path) -> LinkFolder:
    path = tmp_path / "stick"
    path.mkdir()
    return LinkFolder(path)


@pytest.fixture
def appliance() -> PsbtAppliance:
    return PsbtAppliance("alice")


def carried(folder: LinkFolder, link: ScriptedAppliance) -> list[Carried]:
    return list(Courier(folder, link, timeout=5, say=lambda _: None).run())


def test_requests_go_in_the_order_of_their_numbers_and_answers_lie_beside_them(
    folder: LinkFolder, appliance: PsbtAppliance
) -> None:
    names = [folder.write_request(request(number)) for number in (3, 1, 2)]
    done = carried(folder, appliance)
    assert appliance.heard == [request(number) for number in (3, 1, 2)]
    assert done == [Carried(name.request, name.reply, None) for name in names]
    for name, number in zip(names, (3, 1, 2), strict=True):
        reply = folder.read_reply(name, request(number))
        assert reply is not None
        assert answers(request(number), reply)


def test_a_request_with_an_answer_is_never_delivered_again(folder: LinkFolder, appliance: PsbtAppliance) -> None:
    folder.write_request(request(1))
    carried(folder, appliance)
    assert carried(folder, appliance) == []
    folder.write_request(request(2))
    assert len(carried(folder, appliance)) == 1
    assert appliance.heard == [request(1), request(2)]


def test_a_late_answer_to_an_earlier_request_is_passed_over(folder: LinkFolder, appliance: PsbtAppliance) -> None:
    appliance.post(appliance.reply(request(7)))
    appliance.post(b"rubbish")
    appliance.post(SIGNED)
    name = folder.write_request(request(8))
    carried(folder, appliance)
    assert folder.read_reply(name, request(8)) == appliance.reply(request(8))


def test_killed_after_the_delivery_the_same_request_is_delivered_again(
    folder: LinkFolder, appliance: PsbtAppliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_request(request(1))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LinkFolder, "write_reply", interrupted)
        carried(folder, appliance)
    assert len(carried(folder, appliance)) == 1
    assert appliance.heard == [request(1)] * 2


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LinkTimeoutError("no message came"), ApplianceSilent),
        (LinkDeadError("nothing answers"), ApplianceSilent),
        (LinkError("the device is gone"), ApplianceUnplugged),
    ],
)
def test_no_later_request_goes_before_one_that_was_not_answered(
    folder: LinkFolder, appliance: PsbtAppliance, error: LinkError, expected: type[Exception]
) -> None:
    first = folder.write_request(request(1))
    folder.write_request(request(2))

    def receive(*, timeout: float) -> bytes:
        raise error

    appliance.receive = receive  # type: ignore[method-assign]
    with pytest.raises(expected, match=first.request):
        carried(folder, appliance)
    assert appliance.heard == [request(1)]


def spoil_head(file: Path) -> None:
    file.write_bytes(b"x" + file.read_bytes())


def link_elsewhere(file: Path) -> None:
    target = file.with_name("target")
    file.rename(target)
    file.symlink_to(target)


@pytest.mark.parametrize("change", [spoil_head, link_elsewhere])
def test_attack_a_file_that_is_no_request_is_told_and_keeps_no_other_back(
    folder: LinkFolder, appliance: PsbtAppliance, change: Callable[[Path], None]
) -> None:
    bad = folder.write_request(request(1))
    change(folder.path / bad.request)
    good = folder.write_request(request(2))
    first, second = carried(folder, appliance)
    assert first.reply is None
    assert first.problem is not None
    assert second == Carried(good.request, good.reply, None)
    assert appliance.heard == [request(2)]


def test_a_request_that_is_still_being_copied_is_left_for_the_next_time(
    folder: LinkFolder, appliance: PsbtAppliance
) -> None:
    name = folder.write_request(request(1))
    whole = (folder.path / name.request).read_bytes()
    (folder.path / name.request).write_bytes(whole[:-7])
    assert carried(folder, appliance) == [Carried(name.request, None, "it is not whole yet")]
    (folder.path / name.request).write_bytes(whole)
    assert carried(folder, appliance)[0].reply == name.reply


@pytest.mark.parametrize("is_base64", [False, True])
def test_a_psbt_file_comes_back_signed_in_the_form_that_it_had(
    folder: LinkFolder, appliance: PsbtAppliance, is_base64: bool
) -> None:
    written = base64.b64encode(PSBT) + b"\n" if is_base64 else PSBT
    (folder.path / "payout.psbt").write_bytes(written)
    assert carried(folder, appliance) == [Carried("payout.psbt", "payout.signed.psbt", None)]
    found = (folder.path / "payout.signed.psbt").read_bytes()
    assert found == (base64.b64encode(SIGNED) + b"\n" if is_base64 else SIGNED)
    assert carried(folder, appliance) == []


def test_a_refused_psbt_is_done_and_says_so(folder: LinkFolder, appliance: PsbtAppliance) -> None:
    header = ReplyHeader(QUORUM.id, appliance.activation_id, 0, sha256(PSBT), None, bytes(32))
    refusal = RefusalReply("policy", "the reason stands on the owner's screen")
    key = appliance.identity
    appliance.psbt = lambda _: seal_reply(header, refusal, bytes(key.verify_key), examples.signer(key))
    (folder.path / "payout.psbt").write_bytes(PSBT)
    assert carried(folder, appliance) == [Carried("payout.psbt", "payout.refused", None)]
    assert carried(folder, appliance) == []


@pytest.mark.parametrize("data", [b"", b"hello", PSBT[:-1], b"cHNidP8!", b"x" * 8_000_000])
def test_attack_a_file_with_a_psbts_name_that_is_none_goes_nowhere(
    folder: LinkFolder, appliance: PsbtAppliance, data: bytes
) -> None:
    (folder.path / "bad.psbt").write_bytes(data)
    (only,) = carried(folder, appliance)
    assert only.problem is not None
    assert appliance.heard == []


def test_attack_a_psbt_of_another_transaction_is_no_answer() -> None:
    assert answers(PSBT, SIGNED)
    assert not answers(PSBT, OTHER_PSBT)
    assert not answers(request(1), SIGNED)
    assert not answers(PSBT, b"psbt\xff")
    assert not answers(PSBT, b"")


def test_attack_an_appliance_that_talks_without_end_and_never_answers_is_left_in_time(folder: LinkFolder) -> None:
    appliance, now = PsbtAppliance("alice"), iter(range(1000))
    folder.write_request(request(1))
    appliance.receive = lambda *, timeout: b"rubbish"  # type: ignore[method-assign]
    courier = Courier(folder, appliance, timeout=60, say=lambda _: None, monotonic=lambda: float(next(now)))
    with pytest.raises(ApplianceSilent, match="nothing that came"):
        list(courier.run())
    assert next(now) < 100


@pytest.mark.parametrize("name", [b"a\nerror integrity: gone.psbt", b"\x1b]0;owned\x07.psbt", b"\xff.psbt"])
def test_attack_a_name_that_writes_on_the_operators_terminal_is_told_so_that_it_cannot(
    folder: LinkFolder, appliance: PsbtAppliance, name: bytes
) -> None:
    Path(os.fsdecode(bytes(folder.path) + b"/" + name)).write_bytes(PSBT)
    (only,) = carried(folder, appliance)
    assert only.request.isprintable()
    assert only.request.isascii()
    assert only.problem == "its name cannot be printed; rename it"
    assert appliance.heard == []


def test_files_that_are_neither_are_left_alone(folder: LinkFolder, appliance: PsbtAppliance) -> None:
    for name in ("notes.txt", "payout.signed.psbt", ".hidden.psbt", "1-2.request", Name(1, "00000000").reply):
        (folder.path / name).write_bytes(PSBT)
    assert carried(folder, appliance) == []
