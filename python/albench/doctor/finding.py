"""One line of a diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from albench.machine.text import reason


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it.

    Attributes
    ----------
    name
        What was looked at.
    found
        What is there.
    cure
        What to do; empty where nothing is wrong.
    """

    name: str
    found: str
    cure: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.cure

    def as_json(self) -> dict[str, str]:
        """State ``ok`` or ``warning`` with the texts."""
        return {"name": self.name, "state": "ok" if self.is_ok else "warning", "found": self.found, "cure": self.cure}


Check = Callable[[], Iterable[Finding]]


def findings(checks: dict[str, Check]) -> Iterator[Finding]:
    """Run checks one after the other, by name; one that fails on an odd machine is a finding itself."""
    for name, check in checks.items():
        try:
            yield from check()
        except Exception as error:  # whatever a machine has in store, the other checks are made
            yield Finding(name, f"could not be found out: {reason(error)}", "say so in an issue, with this line")
