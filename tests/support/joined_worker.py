"""``albench.terminal.joined`` on the fake trainer: what Dask's workers run in tests."""

from __future__ import annotations

import sys
from pathlib import Path

from albench.data import load_dataset
from albench.machine.parent import stop_with_input
from albench.study.file import read_study
from albench.study.request import RunRequest
from albench.terminal import cli
from tests.support.joined_study import JoinedStudy

if __name__ == "__main__":
    stop_with_input()
    request = RunRequest(**read_study(Path(sys.argv[1])))
    (root,) = request.dataset
    dataset = load_dataset(root, data_dir=None, cache_dir=Path(root).parent / "cache")
    JoinedStudy(dataset, request.out, seeds=request.seeds).resolve_as_this()
    cli.main(["run", *sys.argv[1:]])
