"""Selection core: similarities, submodular set functions, greedy maximisation; NumPy arrays in and out.

Guarantees: ties go to the lowest index; lazy greedy returns the indices and gains of naive greedy, bit for
bit; the same input gives the same output at any number of threads, from a matrix as from features. Needs
nothing but NumPy.
"""

from importlib.metadata import version

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
    "similarity",
]

__version__ = version("albench-core")
