"""Where codes were in the pictures before: they are most likely still there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .patch import Box
from .sight import MOST_CODES, Sight

KEPT_PICTURES: Final = 12
"""For so many pictures a code that is not read is still looked for where it was."""
MOVED: Final = 0.25
"""A hand moves a code by at most this share of its size between two pictures; more is a new place."""


@dataclass(frozen=True, slots=True)
class _Place:
    box: Box
    missed: int


class Places:
    """The places of the codes that were read lately, at most MOST_CODES."""

    def __init__(self) -> None:
        self._places: list[_Place] = []

    def __len__(self) -> int:
        return len(self._places)

    @property
    def boxes(self) -> Sequence[Box]:
        """Each place."""
        return [place.box for place in self._places]

    @property
    def fresh(self) -> bool:
        """Whether a code was read in the picture before."""
        return any(place.missed == 0 for place in self._places)

    def missing(self, sights: Iterable[Sight]) -> list[Box]:
        """The places at which none of these is; the ones missed least often first."""
        seen = [Box.around(sight.corners) for sight in sights]
        places = [place for place in self._places if not any(_same(place.box, box) for box in seen)]
        return [place.box for place in sorted(places, key=lambda place: place.missed)]

    def note(self, sights: Iterable[Sight]) -> None:
        """What was read in the picture just looked at."""
        seen = [Box.around(sight.corners) for sight in sights]
        old = [place for place in self._places if not any(_same(place.box, box) for box in seen)]
        kept = [_Place(place.box, place.missed + 1) for place in old if place.missed + 1 < KEPT_PICTURES]
        self._places = ([_Place(box, 0) for box in seen] + kept)[:MOST_CODES]


def _same(place: Box, box: Box) -> bool:
    return place.holds(box) or box.holds(place)
