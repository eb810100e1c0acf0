"""Names of strategies: ours, and those that other packages add through the entry point group ``albench.strategies``."""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
import threading
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from albench.errors import InputError, unknown_name
from albench.strategies.base import Strategy
from albench.strategies.parameters import build, parameters_of

ENTRY_POINTS = "albench.strategies"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")  # folders are called so, and a plus begins the parameters
_SLOW_S = 10.0
_REGISTRY: dict[str, type[Strategy]] = {}
_RENAMED = {
    "flqmi": ("flvmi", "PRISM calls this measure FLVMI; what they call FLQMI is what usim-f maximises"),
}
"""Names that no longer mean what they did: the new name, and why."""


def register(strategy: type[Strategy]) -> type[Strategy]:
    """Add a strategy class to the registry.

    Raises
    ------
    ValueError
        If its name is taken by another class or is no name, or a parameter is of a kind that we cannot read.
    """
    check_class(strategy)
    taken = _REGISTRY.setdefault(strategy.name, strategy)
    if taken is not strategy:
        raise ValueError(f"strategy '{strategy.name}': the name is taken by {taken.__module__}.{taken.__qualname__}")
    return strategy


def check_class(strategy: type[Strategy]) -> None:
    """Refuse a class that could not be called by its name, made or explained: ValueError."""
    if not _NAME.fullmatch(strategy.name):
        raise ValueError(
            f"strategy '{strategy.name}': expected a name of small letters, digits, dots, underscores and hyphens"
        )
    for attribute in ("summary", "reference"):
        if not isinstance(getattr(strategy, attribute, None), str):
            raise ValueError(f"strategy '{strategy.name}': expected a text in the attribute {attribute}")
    if inspect.isabstract(strategy):
        raise ValueError(f"strategy '{strategy.name}': expected a method select, found none")
    try:
        parameters_of(strategy)
    except ValueError as error:
        raise ValueError(f"strategy '{strategy.name}', {error}") from None


@cache
def _plugins() -> tuple[EntryPoint, ...]:
    """Entry points of all installed distributions; a name is its strategy's, and nothing is imported yet."""
    # A distribution that is found twice, say through an editable install, is no second one.
    return tuple(dict.fromkeys(entry_points(group=ENTRY_POINTS)))


def strategy_names() -> list[str]:
    """Names of all strategies: ours in order of registration, then those of other packages."""
    return list(dict.fromkeys([*_REGISTRY, *(entry.name for entry in _plugins())]))


def get_strategy(name: str) -> type[Strategy]:
    """Class of the strategy `name`.

    Raises
    ------
    InputError
        With the nearest names for an unknown one; with the new name for one that was renamed; with the reason for one
        of another package that cannot be used.
    """
    own = _REGISTRY.get(name)
    entries = [entry for entry in _plugins() if entry.name == name]
    givers = [f"{own.__module__}:{own.__qualname__}"] if own else []
    givers += [entry.value for entry in entries]
    if not givers and name in _RENAMED:
        new, why = _RENAMED[name]
        raise InputError(f"unknown strategy '{name}'; it is called {new} now: {why}")
    if not givers:
        raise unknown_name("strategy", name, strategy_names())
    if len(givers) > 1:
        raise InputError(f"strategy '{name}': expected the name once, found it in {' and in '.join(givers)}")
    return own or _load(entries[0])


@cache
def _load(entry: EntryPoint) -> type[Strategy]:
    """Import the strategy of another package; what it prints goes to standard error, where it spoils nobody's JSON."""
    slow = f"strategy '{entry.name}': importing {entry.value} takes more than {_SLOW_S:.0f} s"
    watch = threading.Timer(_SLOW_S, print, [slow], {"file": sys.stderr})
    watch.daemon = True
    watch.start()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            loaded = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, too: a package that ends programs must not end this one
        raise InputError(f"strategy '{entry.name}': cannot load {entry.value}: {error!r}") from error
    finally:
        watch.cancel()
    if not (isinstance(loaded, type) and issubclass(loaded, Strategy) and getattr(loaded, "name", None) == entry.name):
        raise InputError(
            f"strategy '{entry.name}': expected {entry.value} to be a Strategy class of that name, got {loaded!r}"
        )
    try:
        check_class(loaded)
    except ValueError as error:
        raise InputError(str(error)) from None
    return loaded


def make_strategy(text: str) -> Strategy:
    """Make a strategy from ``NAME`` or ``NAME+key=value+key=value``.

    Raises
    ------
    InputError
        For an unknown name or parameter, or a value it cannot have.
    """
    name, plus, settings = text.partition("+")
    if plus and not settings:
        raise InputError(f"strategy '{text}': expected name=value after the plus, got nothing")
    return build(get_strategy(name), settings)
