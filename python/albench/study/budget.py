"""Whether a pool has the units that a protocol annotates."""

from __future__ import annotations

from collections import Counter

from albench.config import runs
from albench.errors import InputError
from albench.study.study import Study
from albench.units.pool import Pool

_MARGIN = 1.5


def check_budget(study: Study, pool: Pool) -> None:
    """Refuse a study that would annotate more units than the pool has, or has no label to start from.

    A protocol's numbers are never changed in silence: the message says which settings would fit.

    Raises
    ------
    InputError
        So it is.
    """
    protocol = study.config.protocol
    n_start, budgets = _wanted(study, pool)
    if n_start == 0:
        raise InputError(
            f"{study.dataset.name}: expected at least one completely labelled unit to start from, found none in "
            f"the {len(pool)} units of the pool"
        )
    wanted = n_start + sum(budgets)
    if wanted > pool.n_disjoint:
        queries = "".join(f" and {n} rounds of {budget}" for n, budget in runs(budgets))
        note = " that find room beside each other" if pool.overlaps else ""
        raise InputError(
            f"budget: {n_start} starting units{queries} make {wanted}, expected at most the {pool.n_disjoint} units in "
            f"the pool of {study.dataset.name}{note}{_way_out(study, pool, wanted)}"
        )
    bound = protocol.pool.max_per_case
    if bound is not None and budgets and max(budgets) > (most := _most_per_query(pool, bound)):
        raise InputError(
            f"pool.max_per_case: expected a bound that lets a query have {max(budgets)} units, got {bound}, "
            f"which allows {most} in {len(pool.cases)} cases of {study.dataset.name}; --set pool.max_per_case=null has "
            "none"
        )


def may_be_short(study: Study, sample: Pool, n_cases: int) -> bool:
    """Whether a pool of `n_cases`, some of them in `sample`, might be refused by `check_budget`."""
    scale = n_cases / len(sample.cases) / _MARGIN
    n_start, budgets = _wanted(study, sample)
    bound = study.config.protocol.pool.max_per_case
    short = n_start + sum(budgets) > sample.n_disjoint * scale
    bounded = bound is not None and max(budgets, default=0) > _most_per_query(sample, bound) * scale
    return n_start == 0 or short or bounded


def _wanted(study: Study, pool: Pool) -> tuple[int, tuple[int, ...]]:
    """Units of the start and of each query."""
    protocol = study.config.protocol
    if protocol.pool.start_method == "labelled":  # the first query asks for labels that nobody has given yet
        return int(pool.is_labelled.sum()), protocol.budgets[:1]
    return protocol.pool.start, protocol.budgets


def _most_per_query(pool: Pool, bound: int) -> int:
    return sum(min(bound, n) for n in Counter(unit.case for unit in pool.units).values())


def _way_out(study: Study, pool: Pool, wanted: int) -> str:
    """Name settings that fit: more cases, where the protocol leaves some out; or half of the pool to annotate."""
    protocol, ways = study.config.protocol, []
    labelled = protocol.pool.start_method == "labelled"
    n_cases = len(study.dataset.case_names) - len(study.split(0).test)
    per_case = pool.n_disjoint / len(pool.cases)
    if protocol.pool.max_cases is not None and len(pool.cases) < n_cases and per_case * n_cases >= wanted:
        ways.append(f"--set pool.max_cases=null (all {n_cases} cases)")
    if labelled and (free := pool.n_disjoint - int(pool.is_labelled.sum())) > 0:
        ways.append(f"--set budget={-(-free // 2)}")
    elif not labelled and pool.n_disjoint >= protocol.rounds:
        each = max(1, pool.n_disjoint // (2 * protocol.rounds))
        ways.append(f"--set pool.start={each} --set budget={each}")
    elif not labelled and pool.n_disjoint >= 2:
        ways.append("--rounds 2 --set pool.start=1 --set budget=1")
    return f"; what fits: {' or '.join(ways)}" if ways else ""
