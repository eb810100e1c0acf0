"""Names of strategies: ours, and those that other packages add through the entry point group ``albench.strategies``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from albench.errors import InputError, unknown_name
from albench.strategies.base import Strategy
from albench.strategies.parameters import build

ENTRY_POINTS = "albench.strategies"
_REGISTRY: dict[str, type[Strategy]] = {}


def register(strategy: type[Strategy]) -> type[Strategy]:
    """Add a strategy class to the registry; ValueError where its name is taken by another class."""
    taken = _REGISTRY.setdefault(strategy.name, strategy)
    if taken is not strategy:
        raise ValueError(f"strategy '{strategy.name}': the name is taken by {taken.__module__}.{taken.__qualname__}")
    return strategy


@cache
def _plugins() -> dict[str, EntryPoint]:
    """Entry points by name, which is the strategy's; nothing is imported yet."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def strategy_names() -> list[str]:
    """Names of all strategies: ours in order of registration, then those of other packages."""
    return [*_REGISTRY, *(name for name in _plugins() if name not in _REGISTRY)]


def get_strategy(name: str) -> type[Strategy]:
    """Class of the strategy `name`.

    Raises
    ------
    InputError
        With the nearest names for an unknown one; with the reason for one of another package that cannot be used.
    """
    if name in _REGISTRY:
        return _REGISTRY[name]
    if name not in _plugins():
        raise unknown_name("strategy", name, strategy_names())
    entry = _plugins()[name]
    try:
        found = entry.load()
    except Exception as error:
        raise InputError(f"strategy '{name}': cannot load {entry.value}: {error!r}") from error
    if not (isinstance(found, type) and issubclass(found, Strategy) and getattr(found, "name", None) == name):
        raise InputError(
            f"strategy '{name}': expected {entry.value} to be a Strategy class of that name, got {found!r}"
        )
    return register(found)


def make_strategy(text: str) -> Strategy:
    """Make a strategy from ``NAME`` or ``NAME+key=value+key=value``.

    Raises
    ------
    InputError
        For an unknown name or parameter, or a value it cannot have.
    """
    name, _, settings = text.partition("+")
    return build(get_strategy(name), settings)
