from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch import nn

from albench.scoring.batches import UnitBatch
from albench.scoring.moments import Members, mc_dropout, mean_entropy, moments, softmax_entropy, stochastic
from albench.scoring.request import MOMENTS, Need
from albench.seeding import seeded
from tests.support.scoring_fixtures import UNITS, small_batches, small_network

KEY = ("moments", 7)


def variance(network: nn.Module, n_labels: int = 3, **changes: object) -> np.ndarray:
    settings = {"passes": 5, "dropout": 0.3, "bfloat16": False, "key": KEY} | changes
    with mc_dropout(network, **settings) as members:  # type: ignore[arg-type]
        return moments(members, small_batches(), len(UNITS), n_labels, Need.VARIANCE)["variance"]


def stored_passes(network: nn.Module, passes: int, rate: float) -> list[np.ndarray]:
    """Softmax of every pass of every unit, float64 (pass, label, row, column), padding included."""
    stacks: list[np.ndarray] = [np.empty(0)] * len(UNITS)
    layers = [module for module in network.modules() if isinstance(module, nn.Dropout2d)]
    for layer in layers:
        layer.p, layer.training = rate, True
    with torch.no_grad(), seeded(*KEY):
        for batch in small_batches():
            logits = np.stack([network(batch.images).double().numpy() for _ in range(passes)])
            for place, position in enumerate(batch.positions):
                stacks[position] = scipy.special.softmax(logits[:, place], axis=1)
    for layer in layers:
        layer.p, layer.training = 0.01, False
    return stacks


def cropped(stacks: list[np.ndarray]) -> list[np.ndarray]:
    crops = {p: batch.crop for batch in small_batches() for p in batch.positions}
    return [stack[..., crops[i][0], crops[i][1]] for i, stack in enumerate(stacks)]


def plain_moments(stack: np.ndarray) -> dict[str, np.ndarray]:
    """All quantities of one unit by their formulas; `stack` is (pass, label, row, column)."""
    mean = stack.mean(axis=0)
    entropy = scipy.stats.entropy(mean, axis=0)
    return {
        "variance": np.var(stack, axis=0).mean(axis=(1, 2)),
        "predictive_entropy": entropy.mean(),
        "mutual_information": (entropy - scipy.stats.entropy(stack, axis=1).mean(axis=0)).mean(),
        "class_entropy": (mean * entropy).mean(axis=(1, 2)),
        "expected_entropy": scipy.stats.entropy(stack, axis=1).mean(),
        "expected_dice": (2 * (stack * mean).sum(axis=(-2, -1)) / (stack + mean).sum(axis=(-2, -1))).mean(),
    }


ALONE = list(MOMENTS)
PAIRS = [first | second for first, second in itertools.combinations(ALONE, 2)]


@pytest.mark.parametrize("needs", [*ALONE, *PAIRS, MOMENTS], ids=str)
def test_moments_equal_those_of_stored_passes(needs: Need) -> None:
    network = small_network()
    units = [plain_moments(stack) for stack in cropped(stored_passes(network, passes=5, rate=0.3))]
    with mc_dropout(network, passes=5, dropout=0.3, bfloat16=False, key=KEY) as members:
        found = moments(members, small_batches(), len(UNITS), 3, needs | Need.ENTROPY)
    assert sorted(found) == sorted(str(need.name).lower() for need in needs)
    for name, values in found.items():
        expected = np.stack([unit[name] for unit in units])
        assert values.dtype == np.float64
        assert (expected > 1e-5).all()
        np.testing.assert_allclose(values, expected, rtol=1e-4)


@pytest.mark.parametrize("n_labels", [2, 3, 4, 5, 6])
def test_variance_equals_that_of_stored_passes(n_labels: int) -> None:
    network = small_network(n_labels)
    stacks = cropped(stored_passes(network, passes=5, rate=0.3))
    expected = np.stack([np.var(stack, axis=0).mean(axis=(1, 2)) for stack in stacks])
    found = variance(network, n_labels)
    assert found.dtype == np.float64
    assert (expected > 1e-5).all()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def ensemble(*networks: nn.Module) -> Members:
    """Another uncertainty source: several networks, one pass each."""
    return lambda batch: (network(batch.images) for network in networks)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_an_ensemble_is_a_source_too_and_batches_do_not_matter(batch_size: int) -> None:
    members = ensemble(*(small_network(seed=seed) for seed in range(3)))
    expected = moments(members, small_batches(batch_size=3), len(UNITS), 3, MOMENTS)
    found = moments(members, small_batches(batch_size=batch_size), len(UNITS), 3, MOMENTS)
    assert set(found) == set(expected)
    for name, values in found.items():
        assert (expected[name] > 1e-4).all()
        np.testing.assert_allclose(values, expected[name], rtol=1e-4)


def test_no_moment_sees_the_padding() -> None:
    def noisy_outside(batch: UnitBatch) -> Iterator[torch.Tensor]:
        for logits in clean(batch):
            noisy = torch.full_like(logits, 50.0)
            noisy[..., batch.crop[0], batch.crop[1]] = logits[..., batch.crop[0], batch.crop[1]]
            yield noisy

    clean = ensemble(small_network(seed=0), small_network(seed=1))
    expected, found = (moments(m, small_batches(), len(UNITS), 3, MOMENTS) for m in (clean, noisy_outside))
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])


def test_members_that_agree_share_no_information() -> None:
    network = small_network()
    found = moments(ensemble(*[network] * 7), small_batches(), len(UNITS), 3, MOMENTS)
    assert (found["mutual_information"] >= 0).all()
    np.testing.assert_allclose(found["mutual_information"], 0, atol=1e-6)
    np.testing.assert_allclose(found["variance"], 0, atol=1e-12)
    np.testing.assert_allclose(found["class_entropy"].sum(axis=1), found["predictive_entropy"], rtol=1e-5)
    np.testing.assert_allclose(found["expected_entropy"], found["predictive_entropy"], rtol=1e-5)
    assert (found["expected_dice"] < 1).all()  # soft Dice with itself falls short of 1 where the softmax is not sure


def test_certain_members_that_disagree_are_all_information() -> None:
    """Two members sure of different classes: entropy ln 2, all of it mutual information; variance 1/4 each."""
    batch = next(small_batches())

    def members(batch: UnitBatch) -> Iterator[torch.Tensor]:
        for label in (0, 2):
            logits = torch.full((len(batch.positions), 3, *batch.images.shape[2:]), -200.0)
            logits[:, label] = 200.0
            yield logits

    found = moments(members, [batch], len(UNITS), 3, MOMENTS)
    at = batch.positions
    np.testing.assert_allclose(found["predictive_entropy"][at], np.log(2), rtol=1e-6)
    np.testing.assert_allclose(found["mutual_information"][at], np.log(2), rtol=1e-6)
    np.testing.assert_allclose(found["expected_entropy"][at], 0, atol=1e-6)
    # a class that neither has does not count: of the two others, one has 2 * 1/2 / (1/2 + 1), one nothing
    np.testing.assert_allclose(found["expected_dice"][at], (2 / 3 + 0) / 2, rtol=1e-6)
    np.testing.assert_allclose(found["variance"][at], np.broadcast_to([0.25, 0, 0.25], (len(at), 3)), atol=1e-7)
    half = np.log(2) / 2
    np.testing.assert_allclose(found["class_entropy"][at], np.broadcast_to([half, 0, half], (len(at), 3)), atol=1e-7)


def test_padding_does_not_count() -> None:
    network = small_network()
    stacks = stored_passes(network, passes=5, rate=0.3)
    with_padding = np.stack([np.var(stack, axis=0).mean(axis=(1, 2)) for stack in stacks])
    is_padded = np.array([unit.case == "b" for unit in UNITS])
    differs = np.abs(variance(network) / with_padding - 1).max(axis=1) > 1e-3
    np.testing.assert_array_equal(differs, is_padded)


def test_two_passes_have_a_quarter_of_the_squared_difference() -> None:
    network = small_network()
    stacks = cropped(stored_passes(network, passes=2, rate=0.3))
    expected = [((stack[0] - stack[1]) ** 2 / 4).mean(axis=(1, 2)) for stack in stacks]
    np.testing.assert_allclose(variance(network, passes=2), expected, rtol=1e-4)


def test_one_pass_or_no_dropout_has_no_variance() -> None:
    network = small_network()
    np.testing.assert_array_equal(variance(network, passes=1), 0)
    np.testing.assert_allclose(variance(network, dropout=0.0), 0, atol=1e-12)


def test_the_key_decides_the_masks() -> None:
    network = small_network()
    np.testing.assert_array_equal(variance(network), variance(network))
    assert (variance(network) != variance(network, key=("moments", 8))).any()


def test_bfloat16_is_close_to_float32() -> None:
    network = small_network()
    exact, rounded = variance(network, passes=30), variance(network, passes=30, bfloat16=True)
    assert (exact != rounded).any()
    np.testing.assert_allclose(rounded, exact, rtol=0.05)


def test_entropy_equals_scipys() -> None:
    network = small_network()
    expected = np.empty(len(UNITS))
    for batch in small_batches():
        logits = network(batch.images)[..., batch.crop[0], batch.crop[1]].double().numpy()
        expected[batch.positions] = scipy.stats.entropy(scipy.special.softmax(logits, axis=1), axis=1).mean(axis=(1, 2))
    found = mean_entropy(network, small_batches(), len(UNITS))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.ptp(found) > 1e-3


def test_entropy_of_certainty_is_zero() -> None:
    p = torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(softmax_entropy(p), [0, np.log(3)], rtol=1e-6)


def test_entropy_ignores_dropout() -> None:
    with_layers, without = small_network(), small_network(dropout=False)
    first, second = (mean_entropy(network, small_batches(), len(UNITS)) for network in (with_layers, without))
    np.testing.assert_array_equal(first, second)


def test_dropout_is_on_inside_and_as_it_was_after() -> None:
    network = nn.Sequential(nn.Dropout(0.2), nn.BatchNorm2d(1), nn.Dropout2d(0.4), nn.Dropout3d(0.6)).eval()
    network[2].train()
    rates, modes = [0.2, 0.4, 0.6], [False, False, True, False]
    drops = [network[0], network[2], network[3]]
    with stochastic(network, 0.1):
        assert [layer.p for layer in drops] == [0.1] * 3
        assert [layer.training for layer in network] == [True, False, True, True]
    assert [layer.p for layer in drops] == rates
    assert [layer.training for layer in network] == modes
    with pytest.raises(KeyError), stochastic(network, 0.1):
        raise KeyError
    assert [layer.p for layer in drops] == rates
    assert [layer.training for layer in network] == modes


def test_scoring_leaves_the_network_as_it_was() -> None:
    network = small_network()
    variance(network)
    assert not any(module.training for module in network.modules())
    assert {module.p for module in network.modules() if isinstance(module, nn.Dropout2d)} == {0.01}


def test_scoring_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    variance(small_network())
    assert torch.rand(1) == expected


def test_a_network_without_dropout_is_refused() -> None:
    with pytest.raises(ValueError, match="network: expected dropout layers"):
        variance(small_network(dropout=False))


def test_a_unit_that_no_batch_brought_stays_nan() -> None:
    network = small_network()
    missing = [batch for batch in small_batches() if 0 not in batch.positions]
    found = mean_entropy(network, missing, len(UNITS))
    assert np.isnan(found[0])
    assert np.isfinite(found).any()
