"""Memory that a function has borrowed and its owner changes, resizes or takes away."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

import albench_core as core
from tests.support.core_attack.functions import FUNCTIONS, given, sound
from tests.support.core_attack.harness import REFUSED, Attempt

POISON = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45)
WHERE: dict[str, Any] = {"an entry": (2, 1), "a row": 3, "a column": (slice(None), 1), "everything": ...}


def poisoned() -> Iterator[Attempt]:
    """Values that change between the function's construction and its use."""
    for name, (make, names) in FUNCTIONS.items():
        for optimizer in core.OPTIMIZERS:
            for letter in names:
                for value in POISON:
                    for where, at in WHERE.items():

                        def attempt(make=make, letter=letter, value=value, at=at, optimizer=optimizer):
                            arrays = given()
                            f = make(arrays)
                            arrays[letter][at] = value
                            try:
                                sound(f, optimizer=optimizer)
                            finally:
                                _use(f)

                        yield Attempt(f"{name}: {value} in {where} of {letter}, then {optimizer}", attempt)


def poisoned_midway() -> Iterator[Attempt]:
    """Values that change while a choice is being made."""
    for name, (make, names) in FUNCTIONS.items():
        for optimizer in core.OPTIMIZERS:
            for letter in names:
                for value in (np.nan, np.inf, -3e38):

                    def attempt(make=make, letter=letter, value=value, optimizer=optimizer):
                        arrays = given()

                        def change(n_chosen: int, index: int, gain: float) -> None:
                            arrays[letter][n_chosen] = value

                        f = make(arrays)
                        try:
                            sound(f, optimizer=optimizer, callback=change)
                        finally:
                            _use(f)

                    yield Attempt(f"{name}: {value} in {letter} between two choices of {optimizer}", attempt)


def _resize(array: Any) -> None:
    array.resize((1000, 1000), refcheck=False)


def _set_state(array: Any) -> None:
    array.__setstate__((1, (100, 100), np.dtype(np.float32), False, bytes(40000)))


def _resize_owner(array: Any) -> None:
    owner = array.base
    del array
    owner.resize((2000, 2000), refcheck=False)


TAKEN: dict[str, Callable[[Any], None]] = {
    "resized": _resize,
    "its state set": _set_state,
    "the array that it is a view of resized": _resize_owner,
}


def taken_away() -> Iterator[Attempt]:
    """Memory that moves: refused by NumPy, or noticed by the core."""
    for name, (make, names) in FUNCTIONS.items():
        for letter in names:
            for how, take in TAKEN.items():

                def attempt(make=make, letter=letter, take=take, how=how):
                    arrays = given()
                    array = arrays[letter].copy() if how.startswith("the") else arrays[letter]
                    arrays[letter] = array[:] if how.startswith("the") else array
                    # Large enough that malloc gives its pages back: what reads them then dies.
                    f = make(arrays)
                    with suppress(ValueError):
                        take(arrays[letter])
                    sound(f)
                    f.gain(0), f.gains(), f.evaluate([0, 1])

                yield Attempt(f"{name}: {letter}, {how}", attempt)


def objects() -> Iterator[Attempt]:
    """Copies of functions, and functions without memory of their own."""
    for name, (make, _) in FUNCTIONS.items():
        for how in (pickle.dumps, __import__("copy").copy, __import__("copy").deepcopy):

            def attempt(make=make, how=how):
                f = make(given())
                twin = how(f)
                if isinstance(twin, core.SetFunction):
                    del f
                    sound(twin, optimizer="naive")

            yield Attempt(f"{name}: {how.__name__}", attempt)


def _use(f: core.SetFunction) -> None:
    """Whatever has become of its values, no method may crash."""
    with suppress(*REFUSED):
        f.commit(0)
    for call in (lambda: f.gain(1), f.gains, lambda: f.evaluate([0, 1, 2])):
        with suppress(*REFUSED):
            assert np.isfinite(call()).all()
    f.reset()
