"""Parts of the demo in processes of their own: ready or an error, and gone at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_demo.helper_process import helper_process


def test_a_helper_that_does_not_start_is_told() -> None:
    with (
        pytest.raises(RuntimeError, match="cable did not start: --no-such-option"),
        helper_process("cable", "--no-such-option"),
    ):
        pass


def test_a_helper_is_gone_at_the_end_whatever_happened(tmp_path: Path) -> None:
    ends = [str(tmp_path / name) for name in "ab"]
    with (
        pytest.raises(ValueError, match="in the middle"),
        helper_process("cable", "--a", ends[0], "--b", ends[1]) as process,
    ):
        assert process.poll() is None
        raise ValueError("in the middle")
    assert process.returncode == 0
    assert not any(Path(end).is_symlink() for end in ends)
