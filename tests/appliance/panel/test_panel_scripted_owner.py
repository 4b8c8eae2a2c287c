"""The demo's owner at a real panel: it answers what is asked, and nothing that it should not."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator

import pytest

from appliance.panel.panel_support import PATIENCE_SECONDS, Stage
from undercroft_appliance.internal import (
    Answer,
    Command,
    Notice,
    PassphraseOver,
    PassphraseTurn,
    Question,
    Yielded,
)
from undercroft_appliance.keeper import activation, birth, ceremony
from undercroft_appliance.keeper.owner import TURN_TITLE
from undercroft_appliance.keeper.text import moment
from undercroft_demo.owner import Answer as OwnersAnswer
from undercroft_demo.owner import ScriptedOwner

NOON = 1_800_000_000
CODE = "0123-4567-89ab-cdef-0123-4567-89ab-cdef"
QUORUM = Question(1, ceremony.TITLE_QUORUM, (f"Quorum code {CODE}", "Network regtest"), ceremony.PROMPT_QUORUM,
                  ceremony.CHOICES_QUORUM)  # fmt: skip
POLICY = Question(2, ceremony.TITLE_POLICY, ("Policy daily, version 1", f"Policy code {CODE}"), ceremony.PROMPT_POLICY,
                  ceremony.CHOICES_POLICY)  # fmt: skip


@pytest.fixture
def owner(stage: Stage) -> Iterator[ScriptedOwner]:
    # The panel's first prompt was read by the stage already.
    with ScriptedOwner(stage.master, "Ada", "vault-north", "north", "only for tests", clock=lambda: NOON) as someone:
        yield someone


def time_question(utc: int) -> Question:
    return Question(3, activation.TITLE_TIME, (f"The host says it is {moment(utc)}. Right?",), activation.PROMPT_TIME,
                    activation.CHOICES_TIME)  # fmt: skip


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (Question(9, ceremony.TITLE_DECLARE, ("The host asks.",), ceremony.PROMPT_NAME, ()), "Ada"),
        (Question(9, ceremony.TITLE_DECLARE, ("The host asks.",), ceremony.PROMPT_SITE, ()), "vault-north"),
        (Question(9, ceremony.TITLE_DECLARE, ("The host asks.",), ceremony.PROMPT_REGION, ()), "north"),
        (Question(9, ceremony.TITLE_DECLARE, (), ceremony.PROMPT_DECLARE, ceremony.CHOICES_DECLARE), "make"),
        (Question(9, birth.TITLE_KEY, ("Fingerprint 01020304",), birth.PROMPT_USE, birth.CHOICES_USE), "use"),
        (Question(9, birth.TITLE_CHECK, ("0001-0203",), birth.PROMPT_NEXT, birth.CHOICES_NEXT), "next"),
        (QUORUM, "accept"),
        (POLICY, "approve"),
        (
            Question(
                9, activation.TITLE_ACTIVATE, ("x" * 200,), activation.PROMPT_SITE, ("a", "vault-north", "decline")
            ),
            "vault-north",
        ),
        (time_question(NOON - 290), "right"),
        (time_question(NOON + 310), "wrong"),
        (
            Question(9, activation.TITLE_GRANT, ("Bob asks",), activation.PROMPT_GRANT, activation.CHOICES_GRANT),
            "grant",
        ),
        (Question(9, activation.TITLE_GRANT, ("Do you know?",), activation.PROMPT_EMPTY, ()), "EMPTY"),
        (Question(9, activation.TITLE_ARM, (), activation.PROMPT_ARM, activation.CHOICES_ARM), "arm"),
    ],
)
def test_the_owner_answers_as_a_sensible_one_does(
    stage: Stage, owner: ScriptedOwner, question: Question, answer: str
) -> None:
    stage.keeper.send(question)
    assert stage.received() == Answer(question.number, answer)


def test_attack_a_quorum_or_a_policy_that_others_do_not_see_is_declined(stage: Stage, owner: ScriptedOwner) -> None:
    owner.expected_quorum_code = owner.expected_policy_code = CODE.replace("f", "e")
    stage.keeper.send(QUORUM)
    assert stage.received() == Answer(1, "decline")
    stage.keeper.send(POLICY)
    assert stage.received() == Answer(2, "decline")


def test_the_owner_types_the_passphrase_only_where_it_is_not_shown(stage: Stage, owner: ScriptedOwner) -> None:
    for number in (5, 6):
        stage.keeper.send(PassphraseTurn(number, "Type your passphrase."))
        assert stage.received() == Yielded(number)
        stage.keeper.send(Notice(TURN_TITLE, ("Passphrase: ",)))
        assert os.read(stage.slave, 100) == b"only for tests\n"
        stage.keeper.send(PassphraseOver(number))
    stage.keeper.send(Question(7, TURN_TITLE, (), "Passphrase:", ()))
    owner.wait_for(r"Passphrase:\n> $", PATIENCE_SECONDS)
    owner.type("no")
    assert stage.received() == Answer(7, "no")
    assert "only for tests" not in owner.transcript


def test_the_owner_rolls_new_dice_for_each_key_and_checks_as_many_as_told(stage: Stage, owner: ScriptedOwner) -> None:
    owner.checks = 2
    choice = Question(9, birth.TITLE_KEY, ("Fingerprint 01020304",), birth.PROMPT_USE, birth.CHOICES_USE)
    for number, answer in enumerate(("check", "check", "use")):
        stage.keeper.send(PassphraseTurn(number, birth.PROMPT_DICE))
        assert stage.received() == Yielded(number)
        stage.keeper.send(Notice(birth.TITLE_DICE, ("0 of at least 50 characters taken: ",)))
        rolled = os.read(stage.slave, 100)
        assert rolled == owner.rolls[number].encode() + b"\n"
        assert set(rolled.strip()) <= set(b"123456")
        stage.keeper.send(PassphraseOver(number))
        stage.keeper.send(dataclasses.replace(choice, number=100 + number))
        assert stage.received() == Answer(100 + number, answer)
    assert len(set(owner.rolls)) == 3


def test_one_question_gets_one_answer_whatever_is_shown_in_between(stage: Stage, owner: ScriptedOwner) -> None:
    for number in range(1, 30):
        stage.keeper.send(Question(number, QUORUM.title, QUORUM.lines, QUORUM.prompt, QUORUM.choices))
        stage.keeper.send(Notice("Note", ("all is well",)))
        assert stage.received() == Answer(number, "accept")
    time.sleep(0.3)  # a second answer would be here by now
    assert stage.keeper.receive(0.0) is None
    assert "Please type" not in owner.transcript


def test_the_decisions_come_before_the_rules_and_none_leaves_a_question_open(
    make_stage: Callable[..., Stage],
) -> None:
    stage = make_stage()
    decisions: dict[str, OwnersAnswer] = {r"^Quorum\n": "decline", r"^Policy\n": lambda _: None}
    with ScriptedOwner(stage.master, "Ada", "vault-north", "north", "only for tests", decisions) as owner:
        stage.keeper.send(QUORUM)
        assert stage.received() == Answer(1, "decline")
        stage.keeper.send(POLICY)
        owner.wait_for("Policy code", PATIENCE_SECONDS)
        owner.lock()
        assert stage.received() == Command("lock")
        assert [shown.title for shown in owner.unanswered] == ["Policy"]


def test_waiting_for_what_does_not_come_ends_and_shows_the_screen(stage: Stage, owner: ScriptedOwner) -> None:
    stage.keeper.send(Notice("Note", ("all is well",)))
    owner.wait_for("all is well", PATIENCE_SECONDS)
    with pytest.raises(TimeoutError, match="all is well"):
        owner.wait_for("all is well", 0.1, since=owner.mark())
