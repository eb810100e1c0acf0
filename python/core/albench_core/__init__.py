"""Selection core: similarities, submodular set functions, greedy maximisation; NumPy arrays in and out.

Guarantees: ties go to the lowest index; lazy greedy returns the indices and gains of naive greedy, bit for
bit; the same input gives the same output at any number of threads, from a matrix as from features. Needs
nothing but NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albench_core.api import OPTIMIZERS, Selection, kcenter_greedy, kmeans_plusplus, maximize, similarity
    from albench_core.arguments import METRICS
    from albench_core.errors import InputError
    from albench_core.functions import (
        ConcaveOverModular,
        FacilityLocation,
        FacilityLocationMI,
        FacilityLocationVariantMI,
        GraphCutMI,
        LogDeterminantMI,
    )
    from albench_core.set_function import SetFunction
    from albench_core.sharded import maximize_sharded

    __version__: str

__all__ = [
    "METRICS",
    "OPTIMIZERS",
    "ConcaveOverModular",
    "FacilityLocation",
    "FacilityLocationMI",
    "FacilityLocationVariantMI",
    "GraphCutMI",
    "InputError",
    "LogDeterminantMI",
    "Selection",
    "SetFunction",
    "kcenter_greedy",
    "kmeans_plusplus",
    "maximize",
    "maximize_sharded",
    "similarity",
]

# Imported when first used: a program that only catches `InputError` does not wait for NumPy.
_MODULES = {
    "api": ("OPTIMIZERS", "Selection", "kcenter_greedy", "kmeans_plusplus", "maximize", "similarity"),
    "arguments": ("METRICS",),
    "errors": ("InputError",),
    "functions": (
        "ConcaveOverModular",
        "FacilityLocation",
        "FacilityLocationMI",
        "FacilityLocationVariantMI",
        "GraphCutMI",
        "LogDeterminantMI",
    ),
    "set_function": ("SetFunction",),
    "sharded": ("maximize_sharded",),
}


def __getattr__(name: str) -> Any:
    value: Any
    module = next((module for module, names in _MODULES.items() if name in names), None)
    if name == "__version__":
        from importlib.metadata import version

        value = version("albench-core")
    elif module is not None:
        value = getattr(importlib.import_module(f"albench_core.{module}"), name)
    else:
        raise AttributeError(f"module 'albench_core' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
