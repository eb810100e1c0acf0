"""Attack: a line for each group and for what ended badly; exit status 1 if anything did.

``--some`` makes one in 17 attempts, ``--part I/N`` the I-th of N parts of them, ``--json`` prints for programs.
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.support.core_attack.groups import GROUPS
from tests.support.core_attack.harness import tally

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--some", action="store_true")
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    part, n_parts = map(int, asked.part.split("/"))
    step = 17 if asked.some else 1  # a prime: of every kind some
    n_bad = 0
    for name in asked.names or GROUPS:
        found = tally(list(GROUPS[name]())[::step][part - 1 :: n_parts])
        n_bad += len(found.bad)
        if asked.json:
            print(json.dumps({"group": name, **found.counts, "bad": found.bad}), flush=True)
            continue
        counts = ", ".join(f"{found.counts[kind]} {kind}" for kind in ("refused", "answered", "wrong", "crashed"))
        print(f"{name}: {sum(found.counts.values())} attempts, {counts}", *found.bad, sep="\n  ", flush=True)
    sys.exit(n_bad > 0)
