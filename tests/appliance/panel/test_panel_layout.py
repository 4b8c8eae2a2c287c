"""Rows for the screen: every character is there, and no text can look like something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_appliance.internal import Question
from undercroft_appliance.panel import layout
from undercroft_protocol.errors import MessageError

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=200)


@given(line=PRINTABLE, width=st.integers(0, 200))
def test_wrapping_loses_no_character_and_stays_within_the_width(line: str, width: int) -> None:
    rows = layout.wrapped(line, width)
    assert "".join(row[2:] for row in rows) == line
    assert all(len(row) < max(width, 21) for row in rows)


@given(line=PRINTABLE)
def test_attack_a_long_text_cannot_pass_its_rest_off_as_another_line(line: str) -> None:
    first, *others = layout.wrapped(line, 40)
    assert not first.startswith(layout.CONTINUED)
    assert all(row.startswith(layout.CONTINUED) for row in others)


def test_words_stay_whole_where_that_can_be_done() -> None:
    assert layout.wrapped("the quick brown fox jumps over the dog", 30) == [
        "  the quick brown fox jumps ",
        "+ over the dog",
    ]


def test_a_question_has_its_title_its_lines_its_prompt_and_numbered_choices() -> None:
    assert layout.block(Question(1, "Title", ("one", ""), "Which?", ("a", "b")), 20) == [
        "--- Title ---------",
        "",
        "  one",
        "",
        "",
        "  Which?",
        "     1  a",
        "     2  b",
    ]


@given(rows=st.lists(st.text(max_size=3), max_size=60), height=st.integers(0, 30))
def test_pages_put_together_are_all_rows(rows: list[str], height: int) -> None:
    shown: list[str] = []
    rest = rows
    while True:
        page, rest = layout.paged(rest, height)
        assert height == 0 or len(page) <= max(height - 1, 1)
        shown += page
        if not rest:
            break
    assert shown == rows


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "a\nb", "a\tb", "\x7f", "\u202eabc", "\u200b"])
def test_attack_text_that_moves_or_hides_on_the_screen_is_not_drawn(text: str) -> None:
    with pytest.raises(MessageError):
        layout.checked(text)
