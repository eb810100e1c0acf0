"""Strategies by name."""

from __future__ import annotations

from albench.errors import unknown_name
from albench.strategies.base import PoolView, Selection, Strategy, choose
from albench.strategies.entropy import Entropy
from albench.strategies.full import Full
from albench.strategies.mcd import McDropout
from albench.strategies.random import Random
from albench.strategies.usim import UsimC, UsimF

__all__ = ["PoolView", "Selection", "Strategy", "choose", "get_strategy", "register", "strategy_names"]

_REGISTRY: dict[str, type[Strategy]] = {}


def register(strategy: type[Strategy]) -> type[Strategy]:
    """Add a strategy class to the registry; ValueError where its name is taken by another class."""
    taken = _REGISTRY.setdefault(strategy.name, strategy)
    if taken is not strategy:
        raise ValueError(f"strategy '{strategy.name}': the name is taken by {taken.__module__}.{taken.__qualname__}")
    return strategy


for _strategy in (Random, Entropy, McDropout, UsimF, UsimC, Full):
    register(_strategy)


def strategy_names() -> list[str]:
    """Names of all strategies, in order of registration."""
    return list(_REGISTRY)


def get_strategy(name: str) -> type[Strategy]:
    """Class of the strategy `name`; InputError with the nearest names for an unknown one."""
    if name not in _REGISTRY:
        raise unknown_name("strategy", name, _REGISTRY)
    return _REGISTRY[name]
