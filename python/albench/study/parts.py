"""A study in the parts that one process at a time works on, and how one of them runs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from albench.machine.claims import Claim, Held, holding
from albench.machine.files import remove_half_written
from albench.progress import Advance, Count, Reporter
from albench.results.claims import SETUP, begins_with
from albench.results.layout import CEILING, SHARED
from albench.study.setup import setup_seed
from albench.study.study import Study
from albench.study.workers import Job, dearest_first, run_job

_ROUND = re.compile(r" round (\d+)")


@dataclass(frozen=True)
class Part:
    """What one process claims.

    Attributes
    ----------
    chain
        Label of a strategy, the ceiling's among them; `SETUP` or `SHARED` for what the chains of a seed share.
    """

    study: Study
    seed: int
    chain: str

    @property
    def title(self) -> str:
        """Name that lines give it."""
        return f"{self.study.dataset.name} {self.chain.removeprefix('_')} seed {self.seed}"

    @property
    def key(self) -> tuple[str, str, int]:
        """Names it in the results folder."""
        return self.study.dataset.name, self.chain, self.seed

    @property
    def after(self) -> tuple[str, str, int] | None:
        """Key of the part that has to be done before."""
        before = begins_with(self.chain)
        return None if before is None else (self.study.dataset.name, before, self.seed)

    @property
    def folder(self) -> Path:
        """Where it writes, and no other part that may run meanwhile."""
        seed = self.study.folder.seed(self.seed)
        if self.chain == SETUP:
            return seed.path
        return seed.first_round.path if self.chain == SHARED else self.study.folder.chain(self.chain, self.seed).path

    def run(self, reporter: Reporter) -> None:
        """Do what of it is not done."""
        if self.chain == SETUP:
            setup_seed(self.study, self.seed, reporter)
        else:
            run_job(Job(self.study, self.seed, None if self.chain == SHARED else self.chain), reporter)


def parts_of(studies: Sequence[Study], strategies: Sequence[str], seeds: Sequence[int]) -> list[Part]:
    """Return all parts, in the order in which they begin as far as they can: seed by seed, the dearest chains first."""
    chains = dearest_first([name for name in strategies if name != CEILING])
    shared = [SETUP, *([SHARED] if chains else [])]
    names = [*shared, *([CEILING] if CEILING in strategies else []), *chains]
    return [Part(study, seed, name) for seed in seeds for study in studies for name in names]


def run_part(work: tuple[Part, Claim], reporter: Reporter) -> None:
    """Run a part that is claimed, in a process of its own: nothing is written once the claim is lost."""
    part, claim = work
    with holding(claim) as held:
        if part.folder.is_dir():
            remove_half_written(part.folder)
        part.run(_Noting(reporter, held))
        held.check()
        claim.end("done")


class _Noting:
    """Reporter that also has the claim say how far its holder is."""

    def __init__(self, reporter: Reporter, held: Held) -> None:
        self._reporter, self._held = reporter, held

    def say(self, text: str) -> None:
        """Pass a line on."""
        self._reporter.say(text)

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """Pass a task on, and count its steps."""
        number, count = _ROUND.search(title), Count()

        def note() -> None:
            self._held.note(
                process=os.getpid(),
                gpu=os.environ.get("CUDA_VISIBLE_DEVICES"),
                task=title,
                round=int(number[1]) if number else None,
                n_done=count.n_done,
                total=total,
            )

        with self._reporter.task(title, total) as advance:
            note()

            def advanced(text: str = "", at: int | None = None) -> None:
                count.advance(at)
                note()
                advance(text, at)

            yield advanced
