"""The code of docs/own-model.md runs, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs/own-model.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(*wanted: str) -> dict[str, Any]:
    """Run the blocks that have one of these words in them."""
    namespace: dict[str, Any] = {}
    for block in blocks():
        if any(word in block for word in wanted):
            exec(block, namespace)
    return namespace


def test_the_examples_on_arrays() -> None:
    found = run("chosen = albench.select(features, 20", "def passes()")
    assert found["chosen"].indices.shape == (20,)
    assert np.bincount(found["cases"][found["chosen"].indices]).max() <= 3
    assert found["scores"].variance.shape == (500, 3)


def test_the_example_of_scikit_activeml() -> None:
    pytest.importorskip("skactiveml", reason="scikit-activeml is not installed")
    found = run("chosen = albench.select(features, 20", "SubmodularMI(")
    assert found["rows"].min() >= 10
    assert found["utilities"].shape == (5, 500)


@pytest.mark.filterwarnings("ignore")
def test_the_example_of_monai(tmp_path: Path) -> None:
    pytest.importorskip("monai", reason="MONAI is not installed", exc_type=ImportError)
    import nibabel
    import torch
    from monai.networks.nets import BasicUNet

    rng = np.random.default_rng(0)
    datalist = []
    for case, depth in (("anna", 9), ("bert", 12)):
        path = tmp_path / f"{case}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(rng.normal(size=(20, 24, depth)), np.eye(4)), path)
        datalist.append({"image": str(path), "case": case})
    torch.manual_seed(0)
    members = [BasicUNet(3, 1, 3, features=(4, 4, 8, 8, 8, 4)).eval() for _ in range(2)]
    query = run("sliding_window_inference")["query"]
    to_annotate, others = query(datalist, members, budget=6, roi_size=(32, 32, 32), max_per_case=4)
    assert len(to_annotate) == 6
    assert len(others) == 9 + 12 - 6
    assert {unit["case"] for unit in to_annotate} == {"anna", "bert"}
    assert sorted((unit["case"], unit["slice"]) for unit in [*to_annotate, *others]) == [
        *(("anna", index) for index in range(9)),
        *(("bert", index) for index in range(12)),
    ]
    assert query(datalist, members, budget=6, roi_size=(32, 32, 32), max_per_case=4)[0] == to_annotate
