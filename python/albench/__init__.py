"""al-bench: active learning with nnU-Net, as a benchmark and as a tool.

What there is for use from Python; each name is imported when it is first used:

``RunRequest``, ``run``
    What a run is asked for, and to run it.
``load_results``
    Dice and distances of every case, class, round, seed and strategy of a results folder, as a table.
``select``, ``moments``
    For whoever has a model of their own: the strategies on arrays, and what they need of softmax maps.
``Scores``, ``Selection``
    What ``moments`` makes and ``select`` takes; what ``select`` returns.
``skactiveml``
    ``SubmodularMI``, a query strategy of scikit-activeml; needs the extra of that name.
``core``
    Submodular selection from embeddings of any kind.

Examples
--------
>>> import albench
>>> request = albench.RunRequest(("phantom",), strategy=("random", "usim-f"), seeds=2)
>>> request.protocol, str(request.out)
('quick', 'out')

``albench.run(request)`` then does what ``al-bench run`` does, and ``albench.load_results(request.out)`` reads what
came of it. The selection core needs neither images nor networks:

>>> import numpy as np
>>> X = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
>>> similarity = albench.core.similarity(X, X, metric="cosine")
>>> albench.core.maximize(albench.core.FacilityLocation(similarity), budget=1).indices.tolist()
[1]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albench import core
    from albench.results.tables import read_results as load_results
    from albench.scoring.request import Scores
    from albench.selection.moments import moments
    from albench.selection.select import Selection, select
    from albench.study.request import RunRequest
    from albench.study.run import run

    __version__: str

__all__ = ["RunRequest", "Scores", "Selection", "__version__", "core", "load_results", "moments", "run", "select"]

_PLACES = {
    "RunRequest": ("albench.study.request", "RunRequest"),
    "Scores": ("albench.scoring.request", "Scores"),
    "Selection": ("albench.selection.select", "Selection"),
    "load_results": ("albench.results.tables", "read_results"),
    "moments": ("albench.selection.moments", "moments"),
    "run": ("albench.study.run", "run"),
    "select": ("albench.selection.select", "select"),
}


def __getattr__(name: str) -> Any:
    value: Any
    if name == "__version__":
        from importlib.metadata import version

        value = version("al-bench")
    elif name in ("core", "skactiveml"):  # the latter needs an extra, and is in no list of names
        value = importlib.import_module(f"albench.{name}")
    elif name in _PLACES:
        module, attribute = _PLACES[name]
        value = getattr(importlib.import_module(module), attribute)
    else:
        raise AttributeError(f"module 'albench' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
