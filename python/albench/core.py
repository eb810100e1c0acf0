"""Selection core: the distribution `albench-core`, which needs nothing but NumPy, under al-bench's name."""

from albench_core import (
    METRICS,
    OPTIMIZERS,
    ConcaveOverModular,
    FacilityLocation,
    FacilityLocationMI,
    FacilityLocationVariantMI,
    GraphCutMI,
    InputError,
    LogDeterminantMI,
    Selection,
    SetFunction,
    kcenter_greedy,
    kmeans_plusplus,
    maximize,
    maximize_sharded,
    similarity,
)

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
