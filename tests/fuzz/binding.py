"""Coverage-guided fuzzing of the binding edge.

``pip install atheris && python tests/fuzz/binding.py -max_total_time=60 -len_control=0 -max_len=2048``
Bytes become the arguments of the Hypothesis tests in tests/unit/test_core_edge.py, which is where the answers are
checked; a crash of the interpreter ends the run with the input that caused it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
with atheris.instrument_imports(include=["albench"]):
    import test_core_edge

TARGETS = [
    test.hypothesis.fuzz_one_input
    for name, test in vars(test_core_edge).items()
    if name.startswith("test_") and hasattr(test, "hypothesis")
]


def one_input(data: bytes) -> None:
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
