"""Strategies with parameters, written ``NAME+key=value+key=value``: safe for a shell, a folder and a table."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from albench.errors import InputError, unknown_name
from albench.strategies.base import Strategy

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what no shell, path or table takes for something else


@dataclass(frozen=True)
class Parameter:
    """A constructor argument of a strategy.

    Attributes
    ----------
    kind
        int, float, bool, str, or a Literal of words.
    """

    name: str
    kind: Any
    default: Any

    @property
    def choices(self) -> tuple[str, ...]:
        """Values of a Literal; empty for the other kinds."""
        return typing.get_args(self.kind)

    @property
    def allowed(self) -> str:
        """What values there are, in words."""
        return f"one of {', '.join(self.choices)}" if self.choices else _KINDS[self.kind]

    def parse(self, text: str) -> Any:
        """Return the value that `text` stands for; ValueError where it stands for none."""
        if self.kind in (int, float):
            return self.kind(text)
        if self.kind is bool:
            return {"true": True, "false": False}[text]
        if text not in self.choices if self.choices else not _WORD.fullmatch(text):
            raise ValueError(text)
        return text


def parameters_of(strategy: type[Strategy]) -> tuple[Parameter, ...]:
    """Parameters of a strategy class: those of its constructor, then of the bases that it hands others to.

    Raises
    ------
    ValueError
        For an argument that is not keyword-only with a default, or of a kind that the command line cannot give.
    """
    parameters: list[Parameter] = []
    for owner in strategy.__mro__:
        if "__init__" not in vars(owner) or owner is object:
            continue
        own = vars(owner)["__init__"]
        arguments = list(inspect.signature(own).parameters.values())[1:]  # without self
        rest = [argument for argument in arguments if argument.kind is argument.VAR_KEYWORD]
        parameters += _read([argument for argument in arguments if argument not in rest], typing.get_type_hints(own))
        if not rest:
            break
    return tuple(parameters)


def _read(arguments: Sequence[inspect.Parameter], hints: dict[str, Any]) -> list[Parameter]:
    parameters = []
    for argument in arguments:
        if argument.kind is not argument.KEYWORD_ONLY or argument.default is argument.empty:
            raise ValueError(f"parameter {argument.name}: expected a keyword-only argument with a default")
        kind = hints.get(argument.name)
        words = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
        if kind not in _KINDS and not (words and all(isinstance(w, str) and _WORD.fullmatch(w) for w in words)):
            raise ValueError(
                f"parameter {argument.name}: expected int, float, bool, str or a Literal of words, got {kind}"
            )
        parameters.append(Parameter(argument.name, kind, argument.default))
    return parameters


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
            if not known:
                raise InputError(f"strategy '{strategy.name}' has no parameters, got '{setting}'")
            raise unknown_name(f"parameter of {strategy.name}", key, known)
        try:
            values[key] = known[key].parse(text)
        except (ValueError, KeyError):
            raise InputError(
                f"strategy '{strategy.name}', parameter {key}: expected {known[key].allowed}, got '{text}'"
            ) from None
    try:
        return strategy(**values)
    except ValueError as error:
        raise InputError(f"strategy '{strategy.name}', {error}") from None


def settings_of(strategy: Strategy) -> dict[str, Any]:
    """Parameters of an instance and their values."""
    return {parameter.name: getattr(strategy, parameter.name) for parameter in parameters_of(type(strategy))}


def label_of(strategy: Strategy) -> str:
    """Name of an instance: what `build` makes an equal one from, without what is at its default."""
    changed = [
        f"+{parameter.name}={text_of(value)}"
        for parameter in parameters_of(type(strategy))
        if (value := getattr(strategy, parameter.name)) != parameter.default
    ]
    return strategy.name + "".join(changed)


def text_of(value: Any) -> str:
    """Write a value as `Parameter.parse` reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # The shortest text that reads back the same; a plus would begin another parameter.
        return repr(float(value)).removesuffix(".0").replace("e+", "e")
    return str(value)
