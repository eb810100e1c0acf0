from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albench.errors import InputError
from albench.strategies import Choice, PoolView, Strategy, label_of, make_strategy, settings_of
from albench.strategies.entropy import Entropy
from albench.strategies.parameters import Parameter, build, parameters_of
from albench.strategies.random import Random


class Every(Random):
    """One parameter of each kind."""

    name = "every"

    def __init__(
        self,
        *,
        number: float = 1.5,
        whole: int = 3,
        flag: bool = False,
        word: str = "word",
        choice: Literal["one", "other"] = "one",
    ) -> None:
        self.number, self.whole, self.flag, self.word, self.choice = number, whole, flag, word, choice


def test_parameters_are_the_constructors_keyword_arguments() -> None:
    assert parameters_of(Entropy) == ()
    assert parameters_of(Every) == (
        Parameter("number", float, 1.5),
        Parameter("whole", int, 3),
        Parameter("flag", bool, False),
        Parameter("word", str, "word"),
        Parameter("choice", Literal["one", "other"], "one"),
    )


def test_values_are_read_by_kind() -> None:
    made = build(Every, "whole=-7+number=1e-3+flag=true+choice=other+word=a.b-c_d")
    assert settings_of(made) == {
        "number": 0.001, "whole": -7, "flag": True, "word": "a.b-c_d", "choice": "other",
    }  # fmt: skip
    assert settings_of(build(Every, "")) == settings_of(Every())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("number=much", "strategy 'every', parameter number: expected a number, got 'much'"),
        ("whole=1.5", "strategy 'every', parameter whole: expected a whole number, got '1.5'"),
        ("flag=yes", "strategy 'every', parameter flag: expected true or false, got 'yes'"),
        ("choice=third", "strategy 'every', parameter choice: expected one of one, other, got 'third'"),
        ("word=../etc", "strategy 'every', parameter word: expected a word, got '../etc'"),
        ("word=", "strategy 'every', parameter word: expected a word, got ''"),
        ("word", "strategy 'every': expected each parameter once, as name=value, got 'word'"),
        ("", None),
        ("flag=true+flag=true", "strategy 'every': expected each parameter once, as name=value, got 'flag=true'"),
        ("flag=true+", "strategy 'every': expected each parameter once, as name=value, got ''"),
        ("numbr=1", "unknown parameter of every 'numbr'; did you mean number?"),
    ],
)
def test_what_cannot_be_read_is_an_input_error(settings: str, message: str | None) -> None:
    if message is None:
        assert isinstance(build(Every, settings), Every)
        return
    with pytest.raises(InputError) as caught:
        build(Every, settings)
    assert str(caught.value) == message


def test_what_has_no_parameters_says_so() -> None:
    with pytest.raises(InputError, match="strategy 'entropy' has no parameters, got 'seed=1'"):
        make_strategy("entropy+seed=1")


def test_a_plus_is_followed_by_a_parameter() -> None:
    with pytest.raises(InputError, match=r"strategy 'usim-f\+': expected name=value after the plus, got nothing"):
        make_strategy("usim-f+")


def test_a_value_that_the_constructor_refuses_is_named() -> None:
    with pytest.raises(
        InputError, match=r"strategy 'usim-f', parameter eta: expected a number of at least 0, got -1\.0"
    ):
        make_strategy("usim-f+eta=-1")
    with pytest.raises(InputError, match="strategy 'claspe', parameter beta_end: expected a positive number, got nan"):
        make_strategy("claspe+beta_end=nan")


def test_a_label_names_what_is_not_at_its_default() -> None:
    assert label_of(make_strategy("usim-f")) == "usim-f"
    assert label_of(make_strategy("usim-f+optimizer=lazy+query=expected+eta=1.0")) == "usim-f+query=expected"
    assert label_of(make_strategy("usim-f+layers=all+eta=0")) == "usim-f+eta=0+layers=all"
    assert label_of(make_strategy("power-bald+beta=10")) == "power-bald+beta=10"
    assert label_of(make_strategy("power-bald+beta=1e30")) == "power-bald+beta=1e30"


@given(
    number=st.floats(allow_nan=False, allow_infinity=False),
    whole=st.integers(),
    flag=st.booleans(),
    word=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True),
    choice=st.sampled_from(["one", "other"]),
)
def test_a_label_makes_an_equal_strategy(**values: Any) -> None:
    label = label_of(Every(**values))
    made = build(Every, label.partition("+")[2])
    assert settings_of(made) == settings_of(Every(**values))
    assert label_of(made) == label
    assert "/" not in label
    assert "," not in label


def of(initialise: Any) -> type[Strategy]:
    """A strategy with the given constructor."""

    class Odd(Strategy):
        name, summary, reference = "odd", "odd", "none"
        __init__ = initialise

        def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
            return Choice(np.arange(budget))

    return Odd


def _positional(self: Any, beta: float = 1.0) -> None: ...


def _without_default(self: Any, *, beta: float) -> None: ...


def _list(self: Any, *, betas: list[float] = ()) -> None: ...  # type: ignore[assignment]


def _untyped(self, *, beta=1.0): ...


def _plus(self: Any, *, kind: Literal["a+b"] = "a+b") -> None: ...


@pytest.mark.parametrize(
    ("initialise", "message"),
    [
        (_positional, "parameter beta: expected a keyword-only argument with a default"),
        (_without_default, "parameter beta: expected a keyword-only argument with a default"),
        (_list, r"parameter betas: expected int, float, bool, str or a Literal of words, got list\[float\]"),
        (_untyped, "parameter beta: expected int, float, bool, str or a Literal of words, got None"),
        (_plus, "parameter kind: expected int, float, bool, str or a Literal of words, got typing.Literal"),
    ],
)
def test_a_constructor_that_the_command_line_cannot_call_is_refused(initialise: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameters_of(of(initialise))
