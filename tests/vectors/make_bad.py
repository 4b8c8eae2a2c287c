"""Write tests/vectors/bad: bad input by the line of the survey, and by refusal code.

The keys are those of tests/appliance/builders.py, known to everybody. `--check` writes nothing and says what differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "demo")]

from bad_inputs import FOLDER, Vector  # noqa: E402
from vectors.bad_activations import all_activations  # noqa: E402
from vectors.bad_batches import all_batches  # noqa: E402
from vectors.bad_psbt_forms import all_psbt_forms  # noqa: E402
from vectors.bad_psbts import all_psbts  # noqa: E402
from vectors.bad_states import all_scenarios  # noqa: E402
from vectors.bad_texts import all_texts  # noqa: E402
from vectors.vector_files import main, unique  # noqa: E402


def made() -> dict[str, str]:
    """File names and texts."""
    return unique((f"{vector.name}.json", vector.text()) for vector in _all())


def _all() -> Iterator[Vector]:
    yield from all_psbts()
    yield from all_psbt_forms()
    yield from all_batches()
    yield from all_texts()
    yield from all_scenarios()
    yield from all_activations()


if __name__ == "__main__":
    sys.exit(main(FOLDER, made()))
