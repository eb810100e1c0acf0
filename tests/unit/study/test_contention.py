"""When the last of jobs side by side is over, and how much they slow each other down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albench.data import Dataset
from albench.study.contention import Work, beside, last_end_s, slowdown
from tests.support.fake_study import fake_study

SECONDS = st.integers(1, 50).map(float)
JOBS = st.lists(st.builds(Work, SECONDS, st.lists(st.builds(Work, SECONDS), max_size=4).map(tuple)), max_size=4)


def total(job: Work) -> float:
    return job.seconds + sum(follower.seconds for follower in job.then)


def longest(job: Work) -> float:
    return job.seconds + max((follower.seconds for follower in job.then), default=0.0)


@given(JOBS, st.integers(1, 5))
def test_it_lies_between_the_longest_chain_and_all_in_turn(jobs: list[Work], n_processes: int) -> None:
    end, work = last_end_s(jobs, n_processes), sum(map(total, jobs))
    least = max([work / n_processes, *map(longest, jobs)])
    assert least - 1e-9 <= end <= work + 1e-9
    assert end <= least * (2 - 1 / n_processes) + max(map(longest, jobs), default=0.0), "as any list schedule"
    assert last_end_s(jobs, 1, 7.0) == pytest.approx(work), "one alone is not slowed down"
    assert last_end_s(jobs, 1000) == pytest.approx(max(map(longest, jobs), default=0.0))


@given(JOBS, st.integers(2, 5), st.floats(1, 4))
def test_it_is_longer_where_each_slows_the_others_down(jobs: list[Work], n_processes: int, slower: float) -> None:
    alone = last_end_s(jobs, n_processes)
    assert alone - 1e-9 <= last_end_s(jobs, n_processes, slower) <= alone * slower + 1e-9


def test_a_seed_begins_alone_and_its_chains_wait() -> None:
    """1 s, then three of 3 s on two processes: 1 + 3 + 3, where work and longest chain alone would say 5."""
    seed = Work(1.0, (Work(3.0), Work(3.0), Work(3.0)))
    assert last_end_s([seed], 2) == 7.0
    # twice as long with both at work; the last one is alone again
    assert last_end_s([seed], 2, 2.0) == 1 + 6 + 3


def test_only_iterations_while_all_iterate_count() -> None:
    alone, together = np.arange(1.0, 11), np.arange(1.0, 11) * 3
    times = np.array([np.concatenate([alone, 10 + together]), 10 + np.arange(1.0, 21) * 2])
    # the second has warmed up at 18 and ends at 50, the first is slow from 10 to 40
    assert beside(times) == pytest.approx(np.concatenate([[3.0] * 7, [2.0] * 11]).mean())
    apart = np.array([alone, 100 + alone * 2])
    assert beside(apart) == pytest.approx(1.5), "never together: all count"


@pytest.mark.slow
def test_processes_are_probed_at_the_same_time(phantom: Dataset, tmp_path: Path) -> None:
    study = fake_study(phantom, tmp_path / "out")
    units = study.make_trainer(tmp_path).scan(study.split(0), lambda: None).pool.units[:6]
    assert slowdown(study, tmp_path, units, 1e9, 2) == 1.0
    assert slowdown(study, tmp_path, units, 1e-9, 2) > 1.0
    assert len(list(tmp_path.glob("beside-*.json"))) == 2
