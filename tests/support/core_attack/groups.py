"""All attacks by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.support.core_attack import arguments, lent, threads
from tests.support.core_attack.harness import Attempt

GROUPS: dict[str, Callable[[], Iterable[Attempt]]] = {
    "known": arguments.known,
    "arguments": arguments.wrong_arguments,
    "unmade": arguments.unmade,
    "used twice": arguments.used_twice,
    "poisoned": lent.poisoned,
    "poisoned midway": lent.poisoned_midway,
    "taken away": lent.taken_away,
    "objects": lent.objects,
    "one object": threads.one_object,
    "changed meanwhile": threads.changed_meanwhile,
    "resized meanwhile": threads.resized_meanwhile,
    "forked": threads.forked,
    "interrupted": threads.interrupted,
    "ending": threads.ending,
}
