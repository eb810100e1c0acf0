"""A version of a drawing is read as it was written; anything else is refused."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from albench.drawings.drawing import LONGEST_COMMENT, MOST_SECONDS, Drawing, decoded

texts = st.text(st.characters(codec="utf-8"), max_size=30)
drawings = st.builds(
    Drawing,
    version=st.integers(1, 2**31 - 1),
    labels=hnp.arrays(np.uint16, st.tuples(*[st.integers(1, 4)] * 3)),
    status=st.sampled_from(["open", "later", "done", "skip"]),
    comment=texts,
    seconds=st.integers(0, int(MOST_SECONDS * 1000)).map(lambda milliseconds: milliseconds / 1000),
    verdict=st.sampled_from([None, "accepted", "returned"]),
    remark=texts,
    saved=texts,
    by=texts,
)


@settings(max_examples=80, deadline=None)
@given(drawing=drawings, order=st.sampled_from("CF"))
def test_there_and_back(drawing: Drawing, order: Any) -> None:
    laid = drawing.with_changes(labels=np.array(drawing.labels, order=order))
    again = decoded(json.loads(json.dumps(laid.encoded(), allow_nan=False)), drawing.labels.shape)
    assert again.labels.dtype == np.uint16 and (again.labels == drawing.labels).all()
    for name in ("version", "status", "comment", "seconds", "verdict", "remark", "saved", "by"):
        assert getattr(again, name) == getattr(drawing, name)


def content(**changes: Any) -> dict[str, Any]:
    labels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    return Drawing(version=1, labels=labels).encoded() | changes


def packed(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"version": 0},
        {"status": "finished"},
        {"verdict": "yes"},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": MOST_SECONDS + 1},
        {"comment": "x" * (LONGEST_COMMENT + 1)},
        {"shape": [2, 3]},
        {"shape": [4, 3, 2]},
        {"more": 1},
        {"labels": "no base64!"},
        {"labels": packed(b"no zlib")},
        {"labels": packed(zlib.compress(bytes(46)))},
        {"labels": packed(zlib.compress(bytes(50)))},
        {"labels": packed(zlib.compress(bytes(48))[:-2])},
        {"labels": packed(zlib.compress(bytes(10**7)))},
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any]) -> None:
    assert decoded(content(), (2, 3, 4)).labels[1, 2, 3] == 23
    with pytest.raises(ValueError, match=r"expected|error|base64"):
        decoded(content(**changes), (2, 3, 4))
