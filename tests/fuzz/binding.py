"""Coverage-guided fuzzing of the binding edge.

``pip install atheris && python tests/fuzz/binding.py -max_total_time=60 -len_control=0 -max_len=2048``
Bytes become the arguments of the Hypothesis tests in tests/unit/core/test_edge.py, which is where the answers are
checked; a crash of the interpreter ends the run with the input that caused it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FunctionType

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

from albench_core import api, arguments, functions, set_function, similarities
from tests.unit.core import test_edge

TARGETS = [
    test.hypothesis.fuzz_one_input
    for name, test in vars(test_edge).items()
    if name.startswith("test_") and hasattr(test, "hypothesis")
]


def one_input(data: bytes) -> None:
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


if __name__ == "__main__":
    # An editable install has an import hook of its own, which Atheris' does not see behind.
    for module in (api, arguments, functions, set_function, similarities):
        for name, value in list(vars(module).items()):
            if getattr(value, "__module__", None) == module.__name__ and isinstance(value, FunctionType):
                setattr(module, name, atheris.instrument_func(value))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
