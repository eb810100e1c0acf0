"""What the head says of a study: who began and ended what, and how far all is, from the folder's files."""

from __future__ import annotations

from pathlib import Path

from albench.errors import InputError
from albench.progress import Reporter
from albench.study.status import Status, read_status


class Watch:
    """Says what has changed in a results folder since it looked last."""

    def __init__(self, out: Path, reporter: Reporter) -> None:
        self._out, self._reporter = out, reporter
        self._states: dict[str, tuple[str, str]] = {}
        self._said = ""

    def tell(self) -> int:
        """Say what is new.

        Returns
        -------
        int
            Rounds that are done.
        """
        try:
            status = read_status(self._out)
        except InputError:  # nobody has written its settings yet
            return 0
        for part in status.parts:
            place = part.claim.place if part.state == "running" and part.claim else ""
            state, title = (part.state, place), f"{part.dataset} {part.name} seed {part.seed}"
            if state != self._states.get(title, ("waiting", "")):
                where = f" on {place}" if place else ""
                self._reporter.say(f"{title}: {part.state}{where}, {part.n_done} of {part.n_rounds} done")
            self._states[title] = state
        n_done = sum(part.n_done for part in status.parts)
        line = _line(status, n_done)
        if line != self._said:
            self._reporter.say(line)
        self._said = line
        return n_done


def _line(status: Status, n_done: int) -> str:
    n_all = sum(part.n_rounds for part in status.parts)
    return f"{n_done} of {n_all} rounds done; {status.n_joined} joined processes; time left: {status.left}"
