"""Which GPUs a process may use."""

from __future__ import annotations

import pytest
import torch

from albench.training.runtime import visible_gpus


@pytest.mark.parametrize(
    ("named", "n_gpus", "expected"),
    [(None, 0, ()), (None, 3, ("0", "1", "2")), ("2,5", 2, ("2", "5")), ("2,-1,5", 1, ("2",)), ("", 0, ())],
)
def test_visible_gpus_are_named_as_cuda_names_them(
    named: str | None, n_gpus: int, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected
