"""`make bench-links`: every way a message can take, beside the others of the field, against the physical limits.

Each part measures in this run, ours and theirs on the same input; G1 to G13 are the goals of the links' design.
`--quick` takes few trials and small cases; `--only PART` one part. A goal that is missed is told, and fails nothing:
the machine is shared. A wrong byte anywhere does.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from typing import Final

from .goal_table import Goal, show

PARTS: Final = ("frames", "ur", "draw", "eye", "camera", "serial", "bytes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-links", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few trials and small cases")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}")
    options = parser.parse_args()
    goals: list[Goal] = []
    for part in options.only or PARTS:
        began = time.monotonic()
        print(f"measuring {part} ...", end=" ", file=sys.stderr, flush=True)
        # Each when its turn has come: some load libraries of others that the rest does without.
        goals += importlib.import_module(f".bench_links_{part}", __package__).goals(quick=options.quick)
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    show(goals)
    asked = [goal for goal in goals if goal.met is not None]
    trials = ", by few trials: what is near its goal is met or missed by chance" if options.quick else ""
    print(f"{sum(bool(goal.met) for goal in asked)} of {len(asked)} goals met{trials}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
