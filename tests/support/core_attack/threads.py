"""Threads, forks, signals and an interpreter that ends while the core is at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

import albench_core as core
from tests.support.core_attack.functions import FUNCTIONS, given, sound
from tests.support.core_attack.harness import REFUSED, SANITIZED, Attempt

_SHORT = 0.05  # seconds that threads get


def large() -> dict[str, np.ndarray[Any, Any]]:
    """Arrays on which a choice takes some milliseconds."""
    rng = np.random.default_rng(0)
    X, Z = (rng.uniform(0.1, 1.0, (n, 16)).astype(np.float32) for n in (600, 60))
    return {"X": X, "Z": Z, "S": core.similarity(X, Z), "K": core.similarity(X, X), "C": core.similarity(Z, Z)}


def _until_told(stop: threading.Event, call: Callable[[], object], wrong: list[str]) -> None:
    while not stop.is_set():
        try:
            call()
        except REFUSED:
            time.sleep(0.001)  # else threads that are told to wait keep the one that works from the interpreter
        except BaseException as error:
            wrong.append(f"{type(error).__name__}: {error}")
            return


def _at_once(*calls: Callable[[], object], while_they_run: Callable[[], object] = lambda: time.sleep(_SHORT)) -> None:
    stop, wrong = threading.Event(), list[str]()
    threads = [threading.Thread(target=_until_told, args=(stop, call, wrong)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        while_they_run()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong


def _optimizers(f: core.SetFunction) -> tuple[str, ...]:
    return core.OPTIMIZERS if f.submodular else ("naive", "stochastic")


def one_object() -> Iterator[Attempt]:
    """Many threads on one function: one of them works, the others are told."""
    for name, (make, _) in FUNCTIONS.items():

        def attempt(make=make):
            f = make(large())
            choose = [partial(sound, f, 5, optimizer=o, n_threads=2) for o in _optimizers(f)]
            others = (partial(f.gain, 1), partial(f.commit, 1), f.reset, partial(f.evaluate, [1, 2]))
            _at_once(*choose, *choose, *others, partial(f.gains, n_threads=2))
            sound(f, 5, optimizer="naive")

        yield Attempt(f"{name}: many threads", attempt)


def changed_meanwhile() -> Iterator[Attempt]:
    """Arrays that another thread writes to, and tries to resize, while a choice is made."""
    for name, (make, letters) in FUNCTIONS.items():
        for value in (np.nan, np.inf, -1e38, 1e-45, 0.5):

            def attempt(make=make, letters=letters, value=value):
                arrays = large()
                f = make(arrays)
                rng = np.random.default_rng(1)

                def change() -> None:
                    array = arrays[letters[0]]
                    array[rng.integers(len(array)), rng.integers(array.shape[1])] = value
                    with suppress(ValueError):
                        array.resize((10000, 100), refcheck=False)

                choose = [partial(core.maximize, f, 20, optimizer=o, n_threads=2) for o in _optimizers(f)]
                _at_once(change, *choose)

            yield Attempt(f"{name}: {value} written meanwhile", attempt)


def resized_meanwhile() -> Iterator[Attempt]:
    """Arguments that another thread resizes while they are read."""
    calls: dict[str, Callable[[dict[str, Any]], object]] = {
        "similarity": lambda a: core.similarity(a["X"], a["Z"], n_threads=2),
        "kcenter_greedy": lambda a: core.kcenter_greedy(a["X"], 30, a["Z"], n_threads=2),
        "kmeans_plusplus": lambda a: core.kmeans_plusplus(a["X"], 30, n_threads=2),
        "from_features": lambda a: core.FacilityLocationMI.from_features(a["X"], a["Z"]),
        "LogDet": lambda a: core.LogDeterminantMI(a["S"], a["K"], a["C"]),
    }
    for name, call in calls.items():
        for letter in "XZKC":

            def attempt(call=call, letter=letter):
                arrays = large()
                sizes = [arrays[letter].shape, (2000, 900)]

                def resize() -> None:
                    sizes.reverse()
                    with suppress(ValueError):
                        arrays[letter].resize(sizes[0], refcheck=False)

                _at_once(resize, partial(call, arrays))

            yield Attempt(f"{name}: {letter} resized meanwhile", attempt)


def forked() -> Iterator[Attempt]:
    """A process that forks with threads in the core; the child uses the core, the same objects too."""
    # AddressSanitizer's own allocator does not survive a fork while threads are in it.
    for name, (make, _) in () if SANITIZED else FUNCTIONS.items():

        def attempt(make=make):
            f = make(large())
            busy = partial(core.maximize, f, 20, optimizer="naive", n_threads=3)

            def fork() -> None:
                for _ in range(3):
                    time.sleep(_SHORT / 10)
                    child = os.fork()
                    if child == 0:
                        signal.alarm(30)
                        with suppress(RuntimeError):  # the thread that has it is not here
                            sound(f, 5, optimizer="naive")
                        twin = make(given())
                        sound(twin, 5, optimizer="naive", n_threads=2)
                        os._exit(7)
                    _, status = os.waitpid(child, 0)
                    assert os.waitstatus_to_exitcode(status) == 7, status

            _at_once(busy, busy, while_they_run=fork)

        yield Attempt(f"{name}: forked", attempt)


def interrupted() -> Iterator[Attempt]:
    """Control-C in the middle; the function is as good as new."""
    for name, (make, _) in FUNCTIONS.items():

        def attempt(make=make):
            # a shell starts what runs in the background with this signal ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
            f = make(large())
            expected = sound(f, 20, optimizer="naive").indices

            def stop(n_chosen: int, index: int, gain: float) -> None:
                if n_chosen == 3:
                    signal.raise_signal(signal.SIGINT)

            with suppress(KeyboardInterrupt):
                core.maximize(f, 20, optimizer="naive", callback=stop)
                raise AssertionError("not interrupted")
            np.testing.assert_array_equal(sound(f, 20, optimizer="naive").indices, expected)
            killer = threading.Timer(_SHORT, os.kill, (os.getpid(), signal.SIGINT))
            killer.start()
            with suppress(KeyboardInterrupt):
                while True:
                    core.maximize(f, 20, optimizer="naive", n_threads=2)
            np.testing.assert_array_equal(sound(f, 20, optimizer="naive").indices, expected)

        yield Attempt(f"{name}: interrupted", attempt)


_ENDING = """
import sys, threading, time
from tests.support.core_attack.threads import FUNCTIONS, core, large
arrays = large()
def work():
    f = FUNCTIONS[{name!r}][0](arrays)
    calls = dict(
        maximize=lambda: core.maximize(f, 50, optimizer="naive", n_threads={n_threads}),
        callback=lambda: core.maximize(f, 50, optimizer="naive", callback=lambda *_: sum(range(2000))),
        similarity=lambda: core.similarity(arrays["X"], arrays["X"], n_threads={n_threads}),
        kcenter=lambda: core.kcenter_greedy(arrays["X"], 100, n_threads={n_threads}),
        evaluate=lambda: f.evaluate(range(600)),
        gains=lambda: f.gains(n_threads={n_threads}),
    )
    while True:
        calls[{call!r}]()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep({seconds})
{end}
"""


def ending() -> Iterator[Attempt]:
    """An interpreter that ends with daemon threads in the core."""
    for name in ("FL", "FL-nothing-held", "LogDet-features"):
        for call in ("maximize", "callback", "similarity", "kcenter", "evaluate", "gains"):
            for n_threads, seconds, end in ((1, 0.01, ""), (2, 0.03, ""), (2, 0.02, "sys.exit(0)")):
                program = _ENDING.format(name=name, call=call, n_threads=n_threads, seconds=seconds, end=end)

                def attempt(program=program):
                    found = subprocess.run(
                        [sys.executable, *(["-S"] if sys.flags.no_site else []), "-c", program],
                        capture_output=True, text=True, timeout=50, check=False,
                    )  # fmt: skip
                    assert found.returncode == 0, (found.returncode, found.stderr[-200:])
                    assert not found.stderr, found.stderr[-200:]

                yield Attempt(
                    f"{name}: exit during {call}, {n_threads} threads, {end or 'end of the program'}", attempt
                )
