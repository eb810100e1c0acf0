"""Strategies with parameters, written ``NAME+key=value+key=value``: safe for a shell, a folder and a table."""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import Any

from albench.errors import InputError, unknown_name
from albench.strategies.base import Strategy


@dataclass(frozen=True)
class Parameter:
    """A constructor argument of a strategy.

    Attributes
    ----------
    kind
        int, float, bool, str, or a Literal.
    """

    name: str
    kind: Any
    default: Any

    def parse(self, text: str) -> Any:
        """Return the value that `text` stands for; ValueError where it stands for none."""
        if typing.get_origin(self.kind) is typing.Literal:
            allowed = typing.get_args(self.kind)
            if text not in allowed:
                raise ValueError(f"one of {', '.join(allowed)}")
            return text
        if self.kind is bool:
            if text not in ("true", "false"):
                raise ValueError("true or false")
            return text == "true"
        if self.kind in (int, float):
            try:
                return self.kind(text)
            except ValueError:
                raise ValueError("a whole number" if self.kind is int else "a number") from None
        return text


def parameters_of(strategy: type[Strategy]) -> tuple[Parameter, ...]:
    """Parameters of a strategy class, in the order of its constructor."""
    if strategy.__init__ is object.__init__:
        return ()
    hints = typing.get_type_hints(strategy.__init__)
    return tuple(
        Parameter(argument.name, hints[argument.name], argument.default)
        for argument in inspect.signature(strategy.__init__).parameters.values()
        if argument.kind is argument.KEYWORD_ONLY
    )


def build(strategy: type[Strategy], settings: str) -> Strategy:
    """Make a strategy from ``key=value+key=value``.

    Raises
    ------
    InputError
        For an unknown or repeated parameter, or a value it cannot have.
    """
    known = {parameter.name: parameter for parameter in parameters_of(strategy)}
    values: dict[str, Any] = {}
    for setting in settings.split("+") if settings else ():
        key, equals, text = setting.partition("=")
        if not equals or key in values:
            raise InputError(
                f"strategy '{strategy.name}': expected each parameter once, as name=value, got '{setting}'"
            )
        if key not in known:
            raise unknown_name(f"parameter of {strategy.name}", key, known)
        try:
            values[key] = known[key].parse(text)
        except ValueError as error:
            raise InputError(f"strategy '{strategy.name}', parameter {key}: expected {error}, got '{text}'") from None
    return strategy(**values)


def settings_of(strategy: Strategy) -> dict[str, Any]:
    """Parameters of an instance and their values."""
    return {parameter.name: getattr(strategy, parameter.name) for parameter in parameters_of(type(strategy))}


def label_of(strategy: Strategy) -> str:
    """Name of an instance: what `build` makes an equal one from, without what is at its default."""
    changed = [
        f"+{parameter.name}={_text(value)}"
        for parameter in parameters_of(type(strategy))
        if (value := getattr(strategy, parameter.name)) != parameter.default
    ]
    return strategy.name + "".join(changed)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.12g}".replace("e+", "e")  # the plus would begin another parameter
    return str(value)
