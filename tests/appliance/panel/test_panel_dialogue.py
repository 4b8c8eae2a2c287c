"""The panel as its owner sees it: a real process on a real pseudo-terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from appliance.panel.panel_support import IDLE, PATIENCE_SECONDS, Stage
from undercroft_appliance.endings import OTHER_GONE
from undercroft_appliance.internal import (
    Answer,
    Command,
    Notice,
    Outbound,
    PassphraseOver,
    PassphraseTurn,
    Question,
    Withdrawn,
    Yielded,
)

COMPARE = Question(7, "Quorum code", ("code 7F3A 99C1",), "Is it the same on all three?", ("accept", "decline"))
NAME = Question(8, "Name", (), "What is this site called?", ())
LIST = Question(9, "Payments", tuple(f"line {number}" for number in range(100)), "Sign them?", ("sign", "refuse"))
TURN = PassphraseTurn(10, "Passphrase for the envelope")
PROMPT = r"\n> "


def asked(stage: Stage, question: Question) -> str:
    stage.keeper.send(question)
    return stage.expect(PROMPT)


@pytest.mark.parametrize(
    ("typed", "chosen"), [("1", "accept"), ("2", "decline"), ("accept", "accept"), (" DECLINE ", "decline")]
)
def test_a_choice_is_typed_as_a_number_or_as_a_word(stage: Stage, typed: str, chosen: str) -> None:
    text = asked(stage, COMPARE)
    assert "--- Quorum code ---" in text
    assert "  code 7F3A 99C1\n" in text
    assert "   1  accept\n     2  decline\n" in text
    stage.type(f"{typed}\n")
    assert stage.received() == Answer(7, chosen)


@pytest.mark.parametrize(
    "typed", ["", "0", "3", "-1", "accep", "accept decline", "1\x1b[A", "\x04", "status", "ja\xe4"]
)
def test_anything_else_repeats_the_prompt_and_answers_nothing(stage: Stage, typed: str) -> None:
    asked(stage, COMPARE)
    stage.type(f"{typed}\n")
    assert "Please type" in stage.expect(PROMPT) or "type it again" in stage.screen
    stage.type("2\n")
    assert stage.received() == Answer(7, "decline")


def test_text_is_taken_as_it_is_typed_and_a_command_word_is_text_there(stage: Stage) -> None:
    asked(stage, NAME)
    stage.type("lock\n")
    assert stage.received() == Answer(8, "lock")


@pytest.mark.parametrize("typed", ["caf\xe9", "a\x1b[2Jb", "x" * 201])
def test_text_is_printable_ascii_and_no_longer_than_a_line(stage: Stage, typed: str) -> None:
    asked(stage, NAME)
    stage.type(f"{typed}\n")
    assert "type it again" in stage.expect(PROMPT)
    stage.type("north\n")
    assert stage.received() == Answer(8, "north")


@pytest.mark.parametrize("typed", ["1\n", "1", "accept\naccept\n1\n"])
def test_attack_keys_typed_before_the_screen_appeared_answer_nothing(stage: Stage, typed: str) -> None:
    stage.pause()
    stage.type_ahead(typed)
    stage.keeper.send(COMPARE)
    stage.go_on()
    stage.expect(PROMPT)
    stage.type("decline\n")
    assert stage.received() == Answer(7, "decline")


def test_attack_keys_typed_between_the_pages_of_a_question_do_not_answer_it(
    make_stage: Callable[..., Stage],
) -> None:
    stage = make_stage(rows=60, columns=80)
    stage.keeper.send(LIST)
    stage.expect("-- more --")
    stage.pause()
    stage.type_ahead("\n1\n1\n")
    stage.go_on()
    stage.expect(PROMPT)
    stage.type("refuse\n")
    assert stage.received() == Answer(9, "refuse")


def test_a_long_list_is_paged_and_shown_whole(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(rows=24, columns=80)
    stage.keeper.send(LIST)
    for _ in range(4):
        assert stage.expect("-- more --").count("\n") <= 24
        stage.type("\n")
    stage.expect(PROMPT)
    assert [f"  line {number}\n" in stage.screen for number in range(100)] == [True] * 100


def test_a_terminal_without_a_size_is_not_paged(stage: Stage) -> None:
    text = asked(stage, LIST)
    assert "-- more --" not in text
    assert text.count("  line ") == 100


def test_a_withdrawn_question_takes_no_answer(stage: Stage) -> None:
    asked(stage, COMPARE)
    stage.keeper.send(Withdrawn(7))
    assert "void" in stage.expect(IDLE)
    stage.type("1\n")
    stage.expect("Please type one of")
    stage.type("status\n")
    assert stage.received() == Command("status")


def test_a_question_withdrawn_between_its_pages_is_shown_no_further(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(rows=24, columns=80)
    stage.keeper.send(LIST)
    stage.expect("-- more --")
    stage.keeper.send(Withdrawn(9))
    assert "void" in stage.expect(IDLE)
    asked(stage, COMPARE)
    assert "line 99" not in stage.screen


def test_a_long_notice_scrolls_to_its_end_when_a_question_comes(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(rows=24, columns=80)
    stage.keeper.send(Notice("Batch", tuple(f"line {number}" for number in range(100))))
    stage.expect("-- more --")
    stage.keeper.send(COMPARE)
    assert "  line 99\n" in stage.expect(PROMPT)
    stage.type("1\n")
    assert stage.received() == Answer(7, "accept")


def test_a_question_that_a_notice_interrupts_between_its_pages_begins_anew(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(rows=60, columns=80)
    stage.keeper.send(LIST)
    stage.expect("-- more --")
    stage.keeper.send(Notice("Note", ("all is well",)))
    stage.expect("all is well")
    assert "  line 0\n" in stage.expect("-- more --")
    stage.type("\n")
    stage.expect(PROMPT)
    stage.type("sign\n")
    assert stage.received() == Answer(9, "sign")


def test_attack_a_flood_of_notices_fills_no_memory_while_a_page_waits(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(rows=24, columns=80)
    for number in range(20):
        stage.keeper.send(Notice(f"Note {number}", tuple(f"line {line}" for line in range(50))))
        stage.expect(rf"Note {number} [\s\S]*?-- more --")
    assert stage.screen.count("  line 49\n") == 19


def test_a_second_question_waits_for_the_first_and_may_be_withdrawn_unseen(stage: Stage) -> None:
    asked(stage, COMPARE)
    stage.keeper.send(NAME)
    stage.keeper.send(LIST)
    stage.keeper.send(Withdrawn(8))
    stage.keeper.send(Notice("Note", ("all is well",)))
    stage.expect("all is well")
    assert "same on all three" in stage.expect(PROMPT)
    stage.type("1\n")
    assert stage.received() == Answer(7, "accept")
    stage.expect("Sign them")
    assert "What is this site called" not in stage.screen


def test_a_notice_does_not_lose_what_is_being_typed(stage: Stage) -> None:
    asked(stage, NAME)
    stage.type("nor")
    stage.expect("nor")
    stage.keeper.send(Notice("Note", ("all is well",)))
    stage.expect("all is well")
    stage.expect(PROMPT)
    stage.type("th\n")
    assert stage.received() == Answer(8, "north")


@pytest.mark.parametrize("word", ["lock", "held", "freeze", "log", "status", "help", " Help "])
def test_commands_are_passed_on_between_questions(stage: Stage, word: str) -> None:
    stage.type(f"{word}\n")
    assert stage.received() == Command(word.strip().lower())


@pytest.mark.parametrize("word", ["lock", "freeze"])
def test_the_words_that_stop_work_while_a_question_is_open_or_half_shown(
    make_stage: Callable[..., Stage], word: str
) -> None:
    stage = make_stage(rows=24, columns=80)
    stage.keeper.send(LIST)
    stage.expect("-- more --")
    stage.type(f"{word}\n")
    assert stage.received() == Command(word)
    stage.keeper.send(Withdrawn(9))
    asked(stage, COMPARE)
    stage.type(f"{word}\n")
    assert stage.received() == Command(word)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("freeze The courier has vanished", "freeze The courier has vanished"),
        ("FREEZE  twice", "freeze  twice"),
        ("freeze caf\u00e9", "freeze caf??"),
        ("freeze " + "x" * 300, "freeze " + "x" * 193),
    ],
)
def test_a_reason_may_follow_a_freeze_and_never_keeps_it_from_working(stage: Stage, line: str, command: str) -> None:
    stage.type(f"{line}\n")
    assert stage.received() == Command(command)
    asked(stage, COMPARE)
    stage.type(f"{line}\n")
    assert stage.received() == Command(command)


def test_a_passphrase_is_read_by_the_keeper_and_never_by_the_panel(stage: Stage) -> None:
    passphrase = "correct horse, for tests"
    stage.keeper.send(TURN)
    assert stage.received() == Yielded(10)
    assert not stage.echoes()
    stage.keeper.send(Notice("Passphrase", ("New passphrase: ",)))
    assert "  New passphrase: " in stage.expect(PROMPT)
    stage.type(f"{passphrase}\n")
    time.sleep(0.3)  # a panel that still read would have it by now
    assert os.read(stage.slave, 100) == f"{passphrase}\n".encode()
    stage.keeper.send(PassphraseOver(10))
    stage.expect(IDLE)
    assert stage.echoes()
    assert passphrase not in stage.screen
    stage.type("status\n")
    assert stage.received() == Command("status")


def test_attack_a_passphrase_typed_too_late_is_not_taken_for_an_answer(stage: Stage) -> None:
    asked(stage, NAME)
    stage.keeper.send(TURN)
    assert stage.received() == Yielded(10)
    stage.type_ahead("correct horse, for tests\n")
    stage.keeper.send(PassphraseOver(10))
    assert "What is this site called" in stage.expect(PROMPT)
    stage.type("north\n")
    assert stage.received() == Answer(8, "north")
    assert "horse" not in stage.screen


def test_attack_a_passphrase_typed_too_early_is_not_read_by_the_panel(stage: Stage) -> None:
    stage.pause()
    stage.type_ahead("status\n")
    stage.keeper.send(TURN)
    stage.go_on()
    assert stage.received() == Yielded(10)


def test_a_question_that_comes_during_a_passphrase_is_asked_afterwards(stage: Stage) -> None:
    stage.keeper.send(TURN)
    assert stage.received() == Yielded(10)
    stage.keeper.send(COMPARE)
    stage.keeper.send(Notice("Frozen", ("the host froze this appliance",)))
    assert "same on all three" not in stage.expect(PROMPT)
    stage.keeper.send(PassphraseOver(10))
    assert "same on all three" in stage.expect(PROMPT)


def test_a_turn_that_is_over_before_the_panel_looks_leaves_it_working(stage: Stage) -> None:
    stage.pause()
    for message in (TURN, PassphraseOver(10), COMPARE):
        stage.keeper.send(message)
    stage.go_on()
    assert stage.received() == Yielded(10)
    assert "same on all three" in stage.expect(PROMPT)
    assert stage.echoes()


def test_the_panel_ends_when_the_keeper_does(stage: Stage) -> None:
    stage.keeper.close()
    assert stage.process.wait(PATIENCE_SECONDS) == OTHER_GONE


def test_the_panel_ends_when_its_terminal_hangs_up(stage: Stage) -> None:
    os.close(stage.slave)
    stage.slave = os.dup(0)
    os.close(stage.master)
    stage.master = os.dup(0)
    assert stage.process.wait(PATIENCE_SECONDS) == 1


def test_a_message_that_is_none_for_a_panel_ends_it(stage: Stage) -> None:
    stage.keeper.send(Outbound(b"x"))
    assert stage.process.wait(PATIENCE_SECONDS) == OTHER_GONE
