"""What a player puts on a screen: codes of one size, which never becomes smaller while one message is shown."""

from __future__ import annotations

from collections.abc import Sequence

from undercroft_protocol.qr.picture import Matrix
from undercroft_protocol.qr.player import Player, QrSettings


class Wall:
    """A screen that remembers the versions of the codes of each picture."""

    def __init__(self) -> None:
        self.pictures: list[list[int]] = []

    def show(self, codes: Sequence[Matrix]) -> None:
        self.pictures.append([code.version for code in codes])

    def blank(self) -> None:
        """Nothing to remember."""

    def close(self) -> None:
        """Nothing to close."""


class Lengths:
    """A source whose symbols have so many digits, one after the other."""

    def __init__(self, *lengths: int) -> None:
        self._lengths = list(lengths)
        self.count = len(lengths)

    def next_symbol(self) -> str:
        """The next one; after the last, the first again."""
        self._lengths.append(self._lengths[0])
        return "1" * self._lengths.pop(0)


def shown(*lengths: int, codes: int, pictures: int) -> list[list[int]]:
    now = [0.0]
    wall = Wall()
    settings = QrSettings(version=20, codes=codes, pictures_per_second=10)
    player = Player(wall, settings=settings, clock=lambda: now[0])
    player.play(Lengths(*lengths))
    for _ in range(pictures - 1):
        now[0] += 0.11
        player.turn()
    return wall.pictures


def test_a_shorter_last_part_does_not_make_the_code_smaller() -> None:
    # 41 digits are a code of version 1, 77 one of version 2.
    assert shown(77, 77, 41, codes=1, pictures=6) == [[2]] * 6
    assert shown(41, 77, 41, codes=1, pictures=4) == [[1], [2], [2], [2]]


def test_codes_side_by_side_have_the_size_of_the_largest() -> None:
    assert shown(41, 77, 41, 41, codes=2, pictures=3) == [[2, 2]] * 3


def test_another_source_begins_with_a_size_of_its_own() -> None:
    wall = Wall()
    player = Player(wall, settings=QrSettings(), clock=lambda: 0.0)
    for length in (77, 41):
        player.play(Lengths(length))
    assert wall.pictures == [[2], [1]]
