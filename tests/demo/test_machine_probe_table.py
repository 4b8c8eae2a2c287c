"""The table of probes: read as it was written, and wrong in every way in which it can be."""

from __future__ import annotations

import pytest

from undercroft_demo.image_test.probe_table import LEAST, Finding, faults, findings, rows


def journal(count: int = LEAST) -> str:
    lines = ["undercroft: linux,dummy-virt", *(f"probe\twall {one}\tENOSYS\tENOSYS" for one in range(count))]
    # A terminal between makes more of a line's end.
    return "\r\r\n".join(lines)


def test_a_journal_is_read_whole() -> None:
    found = findings(journal())
    assert len(found) == LEAST
    assert found[0] == Finding("wall 0", "ENOSYS", "ENOSYS")
    assert faults(found) == []
    assert len(rows(found)) == LEAST + 1


def test_long_words_get_rows_of_their_own() -> None:
    long = "user 0, " * 10
    assert rows([Finding("process: panel", long, long)])[-3:] == [
        "process: panel",
        f"  expected  {long}",
        f"  seen      {long}",
    ]


def test_attack_a_wall_that_is_not_there_is_named() -> None:
    found = findings(journal() + "\r\nprobe\tsocket: IPv4 TCP\tEAFNOSUPPORT\tworks")
    assert faults(found) == ["socket: IPv4 TCP: expected EAFNOSUPPORT, seen works"]


def test_attack_a_table_from_which_probes_were_taken_out_is_refused() -> None:
    assert faults(findings(journal(LEAST - 1))) == [f"only {LEAST - 1} findings, {LEAST} is the least"]
    twice = journal(LEAST - 1) + "\nprobe\twall 0\tENOSYS\tENOSYS"
    assert faults(findings(twice))


def test_a_line_that_was_cut_is_no_finding() -> None:
    with pytest.raises(ValueError, match="no finding"):
        findings("probe\tsocket: IPv4 TCP\tEAFNO")
