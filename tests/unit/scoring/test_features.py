from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from albench.scoring.batches import UnitBatch
from albench.scoring.features import bottleneck_features, stage_features
from albench.units.pool import Unit
from tests.support.scoring_fixtures import IMAGES, UNITS, single_units, small_batches, small_network

GRID = (4, 4)  # the 16 x 16 patch, halved twice


def bottleneck(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Output of the encoder's stages one after the other; (b, channel, row, column)."""
    for stage in network.get_submodule("encoder.stages"):
        image = stage(image)
    return image


def plain_pooling(maps: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Adaptive average pooling of (channel, row, column): cell i means floor(i n / g) to ceil((i + 1) n / g)."""
    pooled = np.empty((maps.shape[0], *grid))
    for i in range(grid[0]):
        for j in range(grid[1]):
            rows = slice(i * maps.shape[1] // grid[0], -(-(i + 1) * maps.shape[1] // grid[0]))
            columns = slice(j * maps.shape[2] // grid[1], -(-(j + 1) * maps.shape[2] // grid[1]))
            pooled[:, i, j] = maps[:, rows, columns].mean(axis=(1, 2))
    return pooled


def features(units: Sequence[Unit] = UNITS, batch_size: int = 3, network: nn.Module | None = None) -> np.ndarray:
    return bottleneck_features(
        network or small_network(), units, lambda wanted: small_batches(wanted, batch_size=batch_size), GRID
    )


def test_a_slice_that_fits_the_patch_is_flattened_as_it_is() -> None:
    network = small_network()
    fitting = [unit for unit in UNITS if unit.case == "a"]
    expected = [bottleneck(network, batch.images).flatten().numpy() for batch in single_units(fitting)]
    found = features(fitting, batch_size=1, network=network)
    assert found.dtype == np.float32
    assert found.shape == (len(fitting), 8 * 4 * 4)
    np.testing.assert_array_equal(found, expected)
    assert np.ptp(found, axis=0).max() > 0.1


def test_a_larger_slice_is_averaged_onto_the_patchs_grid() -> None:
    network = small_network()
    larger = [unit for unit in UNITS if unit.case == "b"]  # padded to 16 x 20: a map of 4 x 5
    maps = [bottleneck(network, batch.images)[0].numpy() for batch in single_units(larger)]
    assert maps[0].shape == (8, 4, 5)
    expected = [plain_pooling(values, GRID).ravel() for values in maps]
    np.testing.assert_allclose(features(larger, network=network), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_sizes_mix_and_batches_do_not_matter(batch_size: int) -> None:
    units = [*UNITS, UNITS[2]]
    assert len({IMAGES[unit.case].shape[2:] for unit in units}) == 2
    found = features(units, batch_size)
    expected = np.concatenate([features([unit]) for unit in units])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_decoder_is_not_run() -> None:
    network = small_network()
    network.decoder.forward = lambda *_: pytest.fail("the decoder was run")
    assert np.isfinite(features(network=network)).all()


def test_dropout_plays_no_part() -> None:
    np.testing.assert_array_equal(features(), features(network=small_network(dropout=False)))


def test_no_units_no_features() -> None:
    assert features([]).shape[0] == 0


def plain_stage_mean(network: nn.Module, batch: UnitBatch) -> np.ndarray:
    """Output of the second of three stages, blown up to the image's pixels, mean over a slice without its padding."""
    maps = batch.images
    for stage in network.get_submodule("encoder.stages")[:2]:
        maps = stage(maps)
    ((_, (rows, columns)),) = batch
    return maps[0].numpy().repeat(2, axis=1).repeat(2, axis=2)[:, rows, columns].mean(axis=(1, 2))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_stage_features_are_means_over_the_slice_of_all_networks_side_by_side(batch_size: int) -> None:
    networks = [small_network(seed=0), small_network(seed=1)]
    found = stage_features(networks, UNITS, lambda wanted: small_batches(wanted, batch_size=batch_size))
    assert found.dtype == np.float32
    assert found.shape == (len(UNITS), 2 * 6)
    for row, batch in zip(found, single_units(), strict=True):
        expected = np.concatenate([plain_stage_mean(network, batch) for network in networks])
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)


def test_no_units_no_stage_features() -> None:
    assert stage_features([small_network()], [], small_batches).shape[0] == 0
