"""Every argument of every public callable, and of the extension behind them, replaced by what does not belong there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

import albench_core as core
from albench_core import _core
from tests.support.core_attack.functions import FUNCTIONS, N, Q, features, given, sound, sound_everywhere
from tests.support.core_attack.harness import REFUSED, Attempt
from tests.support.core_attack.values import OTHERS, arrays

_CALLABLES: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {}


def callables() -> dict[str, tuple[Callable[..., object], dict[str, Any]]]:
    """Every public callable with arguments that it answers to."""
    if _CALLABLES:
        return _CALLABLES
    a, weights = given(), np.arange(1.0, Q + 1)
    several = {"n_threads": 2}
    found: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
        "similarity": (core.similarity, {"X": a["X"], "Q": a["Z"], "metric": "dot", "scale": np.ones(4), **several}),
        "kcenter_greedy": (core.kcenter_greedy, {"X": a["X"], "budget": 3, "labelled": [1], **several}),
        "kmeans_plusplus": (core.kmeans_plusplus, {"X": a["X"], "budget": 3, "rng_seed": 1, **several}),
    }
    options = {"budget": 3, "epsilon": 0.1, "seed": 1, "candidates": range(1, N), "callback": None, **several}
    for name, (make, _) in FUNCTIONS.items():
        for optimizer in core.OPTIMIZERS if name in ("FL", "FLMI-features", "LogDet") else ():
            found[f"maximize {name}, {optimizer}"] = (
                lambda make=make, **options: core.maximize(make(given()), **options),
                {"optimizer": optimizer, **options},
            )
        methods: dict[str, dict[str, Any]] = {
            "gain": {"i": 1},
            "gains": {"indices": [0, 1], **several},
            "commit": {"i": 1},
            "evaluate": {"indices": [0, 1]},
        }
        for method, arguments in methods.items():
            found[f"{name}.{method}"] = (
                lambda make=make, method=method, **arguments: getattr(make(given()), method)(**arguments),
                arguments,
            )
    of: dict[str, Any] = {
        "S": a["S"],
        "X": a["X"],
        "Q": a["Z"],
        "ground": a["K"],
        "queries": a["C"],
        "weights": weights,
    }
    for cls in (getattr(core, name) for name in core.__all__):
        if inspect.isclass(cls) and issubclass(cls, core.SetFunction) and cls is not core.SetFunction:
            for make in (cls, cls.from_features):
                names = inspect.signature(make).parameters
                arguments = {n: of[n] for n in names if n in of}
                if cls is core.FacilityLocationMI and "weights" in arguments:
                    arguments["weights"] = np.arange(1.0, N + 1)
                arguments |= {n: p.default for n, p in names.items() if n not in of and p.default is not p.empty}
                if make is not cls:
                    arguments |= {"metric": "cosine", "scale": None, "n_threads": None}
                    arguments |= {"max_memory": None} if "FacilityLocation" in cls.__name__ else {}
                found[f"{cls.__name__}.from_features" if make is not cls else cls.__name__] = (make, arguments)
    sharded = {"shards": [a["X"][:4], a["X"][4:]], "Q": a["Z"], "budget": 2, "weights": weights, "eta": 1.0}
    sharded |= {"covered": weights / 10, "metric": "dot", "scale": None, "exact": True, "bound": True}
    found["maximize_sharded"] = (
        core.maximize_sharded,
        sharded | {"executor": None, "part_bytes": 9, "callback": None, **several},
    )
    source = partial(_core.matrix_source, a["S"]) if hasattr(_core, "matrix_source") else partial(_core.Source, a["S"])
    extension: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
        "similarity": (_core.similarity, {"X": a["X"], "Q": a["Z"], "metric": "dot", "scale": None, "n_threads": 1}),
        "kcenter_greedy": (
            _core.kcenter_greedy,
            {"X": a["X"], "budget": 3, "centres": a["Z"], "taken": np.array([1]), **several},
        ),
        "kmeans_plusplus": (_core.kmeans_plusplus, {"X": a["X"], "budget": 3, "seed": 1, **several}),
        "graph_cut": (_core.graph_cut, {"source": source, "weights": None, "lam": 1.0, "clip": True, **several}),
        "facility_location": (
            _core.facility_location,
            {
                "source": source,
                "weights": None,
                "eta": 1.0,
                "caps": weights,
                "covered": weights / 10,
                "held_bytes": 99,
                "bound_bytes": 99,
                **several,
            },
        ),
        "rivals": (
            lambda **arguments: _core.rivals(FUNCTIONS["FL"][0](given())._f, **arguments),
            {"rows": a["S"][:2].copy(), "gains": np.array([3.0, 0.1]), "ties_below": np.array([4, 5])}
            | {"members": np.array([1]), "margin": 0.1, "most_close": 3, **several},
        ),
        "concave_over_modular": (
            _core.concave_over_modular,
            {"source": source, "weights": weights, "eta": 1.0, "concave": "log", **several},
        ),
        "log_determinant": (
            _core.log_determinant,
            {"source": source, "ground": a["K"], "queries": a["C"], "metric": "dot", "scale": None, "eta": 1.0}
            | {"regularization": 1.0, **several},
        ),
    }
    found |= {f"_core.{name}": made for name, made in extension.items()}
    _CALLABLES.update(found)
    return found


def wrong_arguments() -> Iterator[Attempt]:
    """One argument after the other, all else as it should be."""
    rows = features(3, N)
    for name, (call, good) in callables().items():
        for argument, usual in good.items():
            values: dict[str, Any] = dict(OTHERS)
            if isinstance(usual, np.ndarray):
                values |= arrays(usual)
            elif usual is None or isinstance(usual, (list, range)):
                values |= arrays(rows[:, 0]) | arrays(rows)
            for what, value in values.items():
                is_private = name.startswith("_core.")
                yield Attempt(f"{name}({argument}={what})", partial(_call, call, good | {argument: value}, is_private))


def _call(call: Callable[..., object], arguments: dict[str, Any], is_private: bool) -> None:
    if isinstance(source := arguments.get("source"), partial):
        arguments = arguments | {"source": source()}
    try:
        answer = call(**arguments)
    except (KeyError, OverflowError, ZeroDivisionError):
        # A callback's exception is passed on, and behind the checks of arguments so is that of a conversion.
        if not is_private and not callable(arguments.get("callback")):
            raise
        return
    if isinstance(answer, core.SetFunction):
        if answer.n <= 10 * N:
            sound_everywhere(answer)
    elif isinstance(answer, _core.Function):
        every = np.arange(answer.size)
        _core.maximize(answer, 1, "naive", 0.1, 0, every, None, 1)
    elif isinstance(answer, core.Selection):
        assert np.isfinite(answer.gains).all()
        assert np.isfinite(answer.value)
    elif isinstance(answer, np.ndarray) and answer.dtype.kind == "f":
        assert np.isfinite(answer).all()
    elif isinstance(answer, np.ndarray):
        assert len(set(answer.tolist())) == answer.size
    elif answer is not None:
        assert np.isfinite(answer)


WAYS: dict[str, Callable[[Any], object]] = {
    "__new__": lambda c: c.__new__(c),
    "called without arguments": lambda c: c(),
    "object.__new__": object.__new__,
    "derived": lambda c: type("Derived", (c,), {})(),
    "__new__ of its base": lambda c: c.__mro__[-2].__new__(c),
    "__reduce_ex__": lambda c: c.__reduce_ex__(2),
}


def unmade() -> Iterator[Attempt]:
    """Objects that no constructor has made."""
    bound = [value for value in vars(_core).values() if inspect.isclass(value)]
    public = [
        core.SetFunction,
        *(getattr(core, name) for name in core.__all__ if name.endswith(("MI", "Location", "Modular"))),
    ]
    for cls in (*bound, *public):
        for how, way in WAYS.items():

            def attempt(cls=cls, way=way):
                thing = way(cls)
                for name in dir(thing):
                    if not name.startswith("__"):
                        with suppress(*REFUSED, AttributeError):
                            member = getattr(thing, name)
                            if callable(member):
                                for arguments in ((), (0,), ([0],)):
                                    with suppress(*REFUSED):
                                        member(*arguments)
                for call, arguments in (
                    (core.maximize, (thing, 1)),
                    (_core.maximize, (thing, 1, "lazy", 0.1, 0, np.arange(1), None, 1)),
                    (_core.graph_cut, (thing, None, 1.0, True, 1)),
                    (_core.facility_location, (thing, None, 1.0, None, None, 0, 0, 1)),
                ):
                    with suppress(*REFUSED):
                        call(*arguments)
                        raise AssertionError("something came of nothing")

            yield Attempt(f"{cls.__module__}.{cls.__name__} {how}", attempt)


def used_twice() -> Iterator[Attempt]:
    """A source that a function has taken, or has failed to take."""
    S = given()["S"]
    make = getattr(_core, "matrix_source", _core.Source)
    for bad in (np.nan, 1e308):

        def attempt(bad=bad):
            source = make(S)
            for weights in (np.full(Q, 1e308), None):
                with suppress(ValueError):
                    _core.facility_location(source, weights, bad, None, None, 0, 0, 1)
            _core.graph_cut(source, None, 1.0, True, 1)

        yield Attempt(f"a source after eta {bad}", attempt)
    poisoned = S.copy()
    poisoned[1, 1] = np.nan

    def attempt_bad() -> None:
        source = make(poisoned)
        for _ in range(3):
            with suppress(ValueError):
                _core.facility_location(source, None, 1.0, None, None, 0, 0, 1)
        _core.graph_cut(source, None, 1.0, True, 1)

    yield Attempt("a source of NaN, twice", attempt_bad)


def known() -> Iterator[Attempt]:
    """What has corrupted the heap before."""
    rng = np.random.default_rng(0)
    for n, q, budget in ((40, 6, 5), (300, 40, 20), (3000, 8, 3)):
        S = rng.uniform(0.0, 1.0, (n, q)).astype(np.float32)
        for optimizer in core.OPTIMIZERS:
            for epsilon in (5e-309, 5e-324, 1e-308, 1e-300, 1 - 2**-53):
                yield Attempt(
                    f"n={n} {optimizer} epsilon={epsilon}",
                    lambda S=S, o=optimizer, e=epsilon, k=budget: sound(
                        core.FacilityLocation(S), k, optimizer=o, epsilon=e
                    ),
                )
            for weight in (1e308, 1.7e308, 1e300, 1e299, 1e-308, 5e-324):
                for cls in (
                    core.FacilityLocation,
                    core.FacilityLocationVariantMI,
                    core.GraphCutMI,
                    core.ConcaveOverModular,
                ):
                    yield Attempt(
                        f"{cls.__name__} n={n} {optimizer} weight={weight}",
                        lambda S=S, o=optimizer, w=weight, c=cls, k=budget: sound(
                            c(S, np.full(S.shape[1], w)), k, optimizer=o
                        ),
                    )
