"""Attack: a line for each group and for what ended badly; exit status 1 if anything did.

``--some`` makes one in 17 attempts, ``--part I/N`` the I-th of N parts of them, ``--json`` prints for programs.
"""

from __future__ import annotations

import json
import sys

from tests.support.core_attack.groups import GROUPS
from tests.support.core_attack.harness import tally

if __name__ == "__main__":
    words = sys.argv[1:]
    part, n_parts = 1, 1
    if "--part" in words:
        at = words.index("--part")
        part, n_parts = map(int, words[at + 1].split("/"))
        del words[at : at + 2]
    names = [word for word in words if not word.startswith("--")] or list(GROUPS)
    step = 17 if "--some" in words else 1  # a prime: of every kind some
    n_bad = 0
    for name in names:
        found = tally(list(GROUPS[name]())[::step][part - 1 :: n_parts])
        n_bad += len(found.bad)
        if "--json" in words:
            print(json.dumps({"group": name, **found.counts, "bad": found.bad}), flush=True)
            continue
        counts = ", ".join(f"{found.counts[kind]} {kind}" for kind in ("refused", "answered", "wrong", "crashed"))
        print(f"{name}: {sum(found.counts.values())} attempts, {counts}", *found.bad, sep="\n  ", flush=True)
    sys.exit(n_bad > 0)
