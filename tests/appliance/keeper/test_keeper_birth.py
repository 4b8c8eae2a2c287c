"""The birth of a key as the owner sees it: commitment, dice, the key's public parts, then use it or check it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.builders import ALICE, PlainKeys
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.errors import OwnerEntropyError, PassphraseMismatchError
from undercroft_appliance.internal import Command, Question
from undercroft_appliance.keeper import birth, refusals
from undercroft_protocol.messages import DeclareRequest, StatementReply

REQUEST = DeclareRequest("regtest")


def declared(bench: Bench) -> bool:
    return isinstance(bench.ask(REQUEST, quorum_id=None).body, StatementReply)


def asked(bench: Bench, prompt: str) -> list[Question]:
    return [question for question in bench.owner.questions if question.prompt == prompt]


def checking(times: int) -> object:
    answers = iter(["check"] * times + ["use"])
    return lambda _: next(answers)


def test_the_commitment_is_shown_before_the_owner_types_and_the_key_before_the_owner_chooses(bench: Bench) -> None:
    assert declared(bench)
    commitment = bench.last_notice(birth.TITLE_DICE)
    assert set(birth.grouped(b"\x01" * 32)) <= set(commitment.lines)
    (choice,) = asked(bench, birth.PROMPT_USE)
    assert choice.choices == ("use", "check", "decline")
    assert f"Fingerprint {ALICE.entry.fingerprint.hex()}" in choice.lines
    assert f"Account key {ALICE.xpub.text()}" in choice.lines


def test_a_key_that_is_used_is_never_revealed(bench: Bench) -> None:
    assert declared(bench)
    assert not asked(bench, birth.PROMPT_NEXT)


def test_a_key_that_is_checked_is_revealed_and_another_is_drawn(bench: Bench) -> None:
    bench.owner.answers[birth.PROMPT_USE] = checking(2)  # type: ignore[assignment]
    assert declared(bench)
    assert bench.keys.draws == 3  # type: ignore[attr-defined]
    for number, revealed in enumerate(asked(bench, birth.PROMPT_NEXT), start=1):
        assert set(birth.grouped(bytes([number]) * 32)) <= set(revealed.lines)
        assert any("thrown away" in line for line in revealed.lines)
    # The third, which was used, is nowhere on the screen but in its commitment.
    told = "\n".join(line for question in bench.owner.questions for line in question.lines)
    assert birth.grouped(b"\x03" * 32)[0] not in told


@pytest.mark.parametrize(("prompt", "answers"), [(birth.PROMPT_USE, ["decline"]), (birth.PROMPT_NEXT, ["decline"])])
def test_an_owner_declines_in_the_middle_and_no_key_is_left(bench: Bench, prompt: str, answers: list[str]) -> None:
    bench.owner.answers[birth.PROMPT_USE] = checking(1)  # type: ignore[assignment]
    bench.owner.answers[prompt] = answers[0]
    assert bench.refusal(REQUEST, quorum_id=None).startswith(refusals.OWNER_DECLINED.name)
    assert bench.keys.wipes  # type: ignore[attr-defined]
    assert not bench.keys.is_open


def test_bad_dice_are_rolled_again_and_refused_the_third_time() -> None:
    keys = PlainKeys(ALICE)
    keys.dice_troubles = [OwnerEntropyError("fewer than 5 different characters")] * 2
    with Bench(keys) as bench:
        assert declared(bench)
    keys = PlainKeys(ALICE)
    keys.dice_troubles = [OwnerEntropyError("fewer than 5 different characters")] * 3
    with Bench(keys) as bench:
        assert bench.refusal(REQUEST, quorum_id=None).startswith(refusals.ENTROPY_FAILED.name)
        assert keys.draws == 1
        assert not keys.is_open


def test_a_mistyped_passphrase_does_not_lose_the_key() -> None:
    keys = PlainKeys(ALICE, [PassphraseMismatchError()])
    with Bench(keys) as bench:
        assert declared(bench)
        assert keys.draws == 1


def test_attack_a_lock_while_the_owner_rolls_ends_the_birth() -> None:
    class Rolling(PlainKeys):
        def read_entropy(self, tty_fd: int, announce: Callable[[str], None]) -> int:
            bench.owner.send(Command("lock"))
            announce("0 of at least 50 characters taken: ")
            return 50

    with Bench(Rolling(ALICE)) as bench:
        assert bench.refusal(REQUEST, quorum_id=None).startswith(refusals.INTERRUPTED.name)
        assert not bench.keys.is_open
        assert not asked(bench, birth.PROMPT_USE)


def test_attack_a_lock_while_the_owner_chooses_ends_the_birth(bench: Bench) -> None:
    def lock(_: Question) -> str:
        bench.owner.send(Command("lock"))
        return "use"

    bench.owner.answers[birth.PROMPT_USE] = lock
    assert bench.refusal(REQUEST, quorum_id=None).startswith(refusals.INTERRUPTED.name)
    assert not bench.keys.is_open


def test_bytes_are_grouped_for_people_to_write_down() -> None:
    assert birth.grouped(bytes(range(32))) == (
        "0001-0203-0405-0607-0809-0a0b-0c0d-0e0f",
        "1011-1213-1415-1617-1819-1a1b-1c1d-1e1f",
    )
