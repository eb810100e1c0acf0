from __future__ import annotations

import pytest
import torch
from torch import nn

from albench.training.dropout import drop_in_words, dropped


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_elements_are_dropped_at_the_rate_and_the_others_scaled(dtype: torch.dtype, rate: float) -> None:
    torch.manual_seed(0)
    n = 300_000
    found = dropped(torch.ones(3, n // 3, dtype=dtype), rate)
    share = float((found == 0).double().mean())
    assert abs(share - rate) < 4 * (rate * (1 - rate) / n) ** 0.5 + 1e-5
    values = found[found != 0].unique()
    assert values.numel() == 1
    assert float(values) == pytest.approx(1 / (1 - rate), rel=1e-2 if dtype == torch.bfloat16 else 2e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 1023])
def test_any_number_of_elements(n: int) -> None:
    x = torch.arange(1.0, n + 1)
    assert ((dropped(x, 0.5) == 0) | (dropped(x, 0.0) == x)).all()
    assert dropped(x, 0.0).equal(x)


def test_neighbouring_elements_channels_and_calls_drop_independently() -> None:
    torch.manual_seed(1)
    first, second = (dropped(torch.ones(64, 4096), 0.5) == 0 for _ in range(2))
    pairs = [(first[:, 1:], first[:, :-1]), (first[:, 4:], first[:, :-4]), (first[1:], first[:-1]), (first, second)]
    for one, other in pairs:
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]).double())[0, 1]
        assert abs(float(correlation)) < 4 / one.numel() ** 0.5


def test_the_seed_decides_and_gradients_flow_through_what_is_kept() -> None:
    x = torch.ones(1000, requires_grad=True)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(dropped(x, 0.3))
    assert results[0].equal(results[1])
    assert not results[0].equal(results[2])
    (gradient,) = torch.autograd.grad(results[0].sum(), x)
    torch.testing.assert_close(gradient, results[0].detach())


def test_a_network_drops_in_training_mode_alone_and_other_layers_stay() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(0.5))
    drop_in_words(network, torch.device("cpu"))
    assert isinstance(network[0], nn.Dropout) and type(network[0]) is not nn.Dropout
    assert type(network[1]) is nn.Dropout2d
    x = torch.ones(2, 3, 4, 4)
    assert network.eval()(x).equal(x)
    assert not network[0].train()(x).equal(x)
    untouched = nn.Sequential(nn.Dropout(0.5))
    drop_in_words(untouched, torch.device("meta"))
    assert type(untouched[0]) is nn.Dropout
