"""Sampling, candidates, callbacks, interruption, degenerate input, k-centre and k-means++."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import albench_core as core


def example(n=200, q=60, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (n, q)).astype(np.float32)


def test_sampling_is_uniform_without_replacement():
    # All gains equal: the lowest index of the sample wins. With samples of s = 5 from n = 20, the winner is i
    # with probability C(19 - i, 4) / C(20, 5).
    from math import comb

    S = np.ones((20, 3), np.float32)
    f = core.FacilityLocationVariantMI(S)
    epsilon = float(np.exp(-5 / 20) * 1.0000001)  # (20 / 1) ln(1 / epsilon) just below 5
    runs = 4000
    first = np.array([core.maximize(f, 1, "stochastic", epsilon, seed).indices[0] for seed in range(runs)])
    counts = np.bincount(first, minlength=20)
    expected = np.array([comb(19 - i, 4) if i <= 15 else 0 for i in range(20)]) / comb(20, 5) * runs
    assert (counts[16:] == 0).all()
    chi_square = ((counts[:16] - expected[:16]) ** 2 / expected[:16]).sum()
    assert chi_square < 44.3  # 15 degrees of freedom, p = 1e-4


def test_stochastic_comes_close_to_greedy_and_follows_its_seed():
    f = core.FacilityLocationVariantMI(example())
    greedy = core.maximize(f, 20)
    a, b, c = (core.maximize(f, 20, "stochastic", 0.05, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.indices, b.indices)
    assert a.indices.tolist() != c.indices.tolist()
    assert a.value >= (1 - 1 / np.e - 0.05) * greedy.value
    everything = core.maximize(f, 20, "stochastic", 1e-12)  # samples as large as the ground set
    np.testing.assert_array_equal(everything.indices, greedy.indices)


@pytest.mark.parametrize("optimizer", core.OPTIMIZERS)
def test_candidates_budget_and_threads(optimizer):
    f = core.FacilityLocationVariantMI(example())
    allowed = np.array([150, 3, 77, 12, 91])
    r = core.maximize(f, 5, optimizer, candidates=allowed)
    assert sorted(r.indices) == sorted(allowed)
    a, b = (core.maximize(f, 200, optimizer, n_threads=t) for t in (1, 4))
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.gains, b.gains)
    assert sorted(a.indices) == list(range(200))


@pytest.mark.parametrize("optimizer", core.OPTIMIZERS)
def test_callback_reports_stops_and_raises(optimizer):
    f = core.FacilityLocationVariantMI(example())
    seen = []
    r = core.maximize(f, 9, optimizer, callback=lambda *step: seen.append(step))
    assert seen == list(zip(range(1, 10), r.indices.tolist(), r.gains.tolist(), strict=True))
    stopped = core.maximize(f, 9, optimizer, callback=lambda chosen, *_: chosen < 4)
    np.testing.assert_array_equal(stopped.indices, r.indices[:4])

    class StopError(Exception):
        pass

    def fail(*_):
        raise StopError

    with pytest.raises(StopError):
        core.maximize(f, 9, optimizer, callback=fail)
    np.testing.assert_array_equal(core.maximize(f, 9, optimizer).indices, r.indices)


def test_one_function_is_not_driven_from_two_places():
    f = core.FacilityLocationVariantMI(example())
    with pytest.raises(RuntimeError, match="in use"):
        core.maximize(f, 3, callback=lambda *_: f.gain(0))
    assert f.gain(0) > 0


def test_two_functions_in_two_threads():
    functions = [core.FacilityLocationVariantMI(example(seed=s)) for s in range(2)]
    expected = [core.maximize(f, 50).indices for f in functions]
    found = [None, None]

    def work(k):
        found[k] = core.maximize(functions[k], 50, n_threads=2).indices

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(2):
        np.testing.assert_array_equal(found[k], expected[k])


FEW_PROCESSES = """
import _thread, os, resource
import numpy as np
import albench_core as core
S = np.random.default_rng(0).uniform(size=(20000, 40)).astype(np.float32)
expected = core.maximize(core.FacilityLocationVariantMI(S), 20, n_threads=4)
if os.geteuid() == 0:
    os.setuid(65534)  # root may start any number
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
try:
    _thread.start_new_thread(print, ())
except RuntimeError:
    print("no thread")
found = core.maximize(core.FacilityLocationVariantMI(S), 20, n_threads=4)
print(np.array_equal(found.indices, expected.indices))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits on processes as Linux has them")
def test_where_no_thread_can_be_started_one_does_all():
    done = subprocess.run([sys.executable, "-c", FEW_PROCESSES], check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "no thread\nTrue\n"


# SIGINT as a terminal's job has it: background jobs, and what they start, ignore it.
INTERRUPTED = """
import signal
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)
import albench_core as core
S = np.random.default_rng(0).uniform(size=(20000, 400)).astype(np.float32)
f = core.FacilityLocationVariantMI(S)
print("go", flush=True)
try:
    core.maximize(f, 20000, optimizer="naive")
except KeyboardInterrupt:
    print("interrupted", f.gain(0) == core.FacilityLocationVariantMI(S).gain(0), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_control_c_inside_a_long_loop():
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        out, _ = process.communicate(timeout=60)
    assert out == "interrupted True\n"
    assert time.monotonic() - started < 20


def test_degenerate_instances():
    equal = np.full((5, 3), 0.5, np.float32)
    zeros = np.zeros((4, 6), np.float32)
    column = np.array([[0.1], [0.9], [0.5]], np.float32)
    negative = -np.ones((3, 4), np.float32)
    for optimizer in core.OPTIMIZERS:
        for S in (equal, zeros, column, negative):
            r = core.maximize(core.FacilityLocationVariantMI(S), len(S), optimizer)
            assert sorted(r.indices) == list(range(len(S)))
    assert core.maximize(core.FacilityLocationVariantMI(equal), 5).indices.tolist() == [0, 1, 2, 3, 4]
    assert core.maximize(core.FacilityLocationVariantMI(column), 3).indices.tolist() == [1, 2, 0]
    assert core.maximize(core.FacilityLocationVariantMI(negative), 3).value == 0.0
    made = core.FacilityLocationVariantMI.from_features(zeros, zeros[:2], max_memory=0)
    assert core.maximize(made, 4).gains.tolist() == [0.0] * 4


def test_inputs_are_borrowed_or_copied_never_changed():
    S = example()
    kept = S.copy()
    S.flags.writeable = False
    expected = core.maximize(core.FacilityLocationVariantMI(S), 10).indices
    wide = np.zeros((200, 120), np.float32)
    wide[:, ::2] = S
    for variant in (np.asfortranarray(S), wide[:, ::2], S.astype(np.float64)):
        r = core.maximize(core.FacilityLocationVariantMI(variant), 10)
        np.testing.assert_array_equal(r.indices, expected)
    np.testing.assert_array_equal(S, kept)
    f = core.FacilityLocationVariantMI(np.ascontiguousarray(S.copy()))  # nobody else holds the array
    np.testing.assert_array_equal(core.maximize(f, 10).indices, expected)


def plain_kcenter(X, budget, centres):
    X = X.astype(np.float64)
    nearest = np.full(len(X), np.inf)
    for c in centres:
        nearest = np.minimum(nearest, ((X - c) ** 2).sum(1))
    chosen = []
    for _ in range(budget):
        distance = nearest.copy()
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
        nearest = np.minimum(nearest, ((X - X[chosen[-1]]) ** 2).sum(1))
    return chosen


@pytest.mark.parametrize("n_threads", [1, 3])
def test_kcenter(n_threads):
    rng = np.random.default_rng(0)
    X, L = rng.normal(size=(150, 40)).astype(np.float32), rng.normal(size=(7, 40)).astype(np.float32)
    assert core.kcenter_greedy(X, 20, n_threads=n_threads).tolist() == plain_kcenter(X, 20, [])
    assert core.kcenter_greedy(X, 20, L, n_threads).tolist() == plain_kcenter(X, 20, L)
    by_index = core.kcenter_greedy(X, 20, [5, 9], n_threads).tolist()
    assert by_index == plain_kcenter(X, 20, X[[5, 9]])
    assert not {5, 9} & set(by_index)
    assert core.kcenter_greedy(X[:, ::2].astype(np.float16), 5).shape == (5,)
    np.testing.assert_array_equal(core.kcenter_greedy(np.ones((3, 2)), 3), [0, 1, 2])


def test_kmeans_plusplus_draws_by_squared_distance():
    X = np.array([[0.0], [10.0], [11.0], [13.0], [10.0]])
    # First 13 (largest norm); then squared distances 169, 9, 4, 0, 9.
    draws = np.array([core.kmeans_plusplus(X, 2, seed) for seed in range(3000)])
    assert (draws[:, 0] == 3).all()
    counts = np.bincount(draws[:, 1], minlength=5)
    expected = np.array([169, 9, 4, 0, 9]) / 191 * 3000
    assert counts[3] == 0
    assert ((counts - expected)[expected > 0] ** 2 / expected[expected > 0]).sum() < 21.1  # 3 d.o.f., p = 1e-4
    assert sorted(core.kmeans_plusplus(X, 5, 1)) == [0, 1, 2, 3, 4]
    assert core.kmeans_plusplus(np.ones((4, 2)), 4).tolist() == [0, 1, 2, 3]
    rng = np.random.default_rng(0)
    big = rng.normal(size=(500, 30)).astype(np.float32)
    a, b = (core.kmeans_plusplus(big, 50, 7, n_threads=t) for t in (1, 4))
    np.testing.assert_array_equal(a, b)
    assert len(set(a.tolist())) == 50


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X: core.kcenter_greedy(X, 5), r"`budget`: expected an integer in 1\.\.4, got 5"),
        (lambda X: core.kcenter_greedy(X, 4, [0]), r"`budget`: expected an integer in 1\.\.3, got 4"),
        (lambda X: core.kcenter_greedy(X, 1, [9]), r"`labelled`: expected indices in 0\.\.3, got 9"),
        (lambda X: core.kcenter_greedy(X, 1, [0, 1, 2, 3]), "`labelled`: expected fewer than 4 indices"),
        (lambda X: core.kcenter_greedy(X, 1, np.ones((2, 3))), r"`labelled`: expected shape \(m, 2\)"),
        (lambda X: core.kcenter_greedy(X * np.nan, 1), "`X`: expected finite values.* row 0"),
        (lambda X: core.kcenter_greedy(X, 1, np.full((1, 2), np.inf)), "`labelled`: expected finite values"),
        (lambda X: core.kmeans_plusplus(X, 0), "`budget`"),
        (lambda X: core.kmeans_plusplus(X, 1, -1), "`rng_seed`"),
        (lambda X: core.maximize(X, 1), "`f`: expected a set function of albench_core, got ndarray"),
        (
            lambda X: core.maximize(core.GraphCutMI(X), 1, epsilon=1.0),
            r"`epsilon`: expected a number in \(0, 1\)",
        ),
        (
            lambda X: core.maximize(core.GraphCutMI(X), 1, epsilon=0),
            "`epsilon`: expected a finite number > 0",
        ),
        (lambda X: core.maximize(core.GraphCutMI(X), 1, seed=-1), "`seed`"),
        (
            lambda X: core.maximize(core.GraphCutMI(X), 1, callback=3),
            "`callback`: expected a callable or None",
        ),
        (lambda X: core.GraphCutMI(X).gain(4), r"`i`: expected an integer in 0\.\.3, got 4"),
        (lambda X: core.GraphCutMI(X).evaluate([0, 0]), "`indices`: expected distinct indices"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((4, 2)))
