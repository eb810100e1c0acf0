from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from albench.errors import InputError
from albench.strategies import Choice, PoolView, Strategy, get_strategy, make_strategy, register, strategy_names
from albench.strategies import registry as module
from albench.strategies.random import Random
from albench.strategies.usim import UsimF


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Strategy]]:
    copy = dict(module._REGISTRY)
    monkeypatch.setattr(module, "_REGISTRY", copy)
    return copy


class Mine(Random):
    name = "mine"


def test_registered_strategies_are_found_by_name(registry: dict[str, type[Strategy]]) -> None:
    before = strategy_names()
    assert register(Mine) is Mine
    assert strategy_names() == [*before, "mine"]
    assert get_strategy("mine") is Mine
    assert register(Mine) is Mine  # again: nothing happens
    assert strategy_names() == [*before, "mine"]


def test_all_strategies_of_the_paper_and_its_successors_are_there() -> None:
    assert set(strategy_names()) >= {
        "random", "equidistant", "entropy", "mcd", "bald", "coreset", "badge", "stb", "usim-f", "usim-c", "full",
        "predictive-entropy", "exp-entropy", "expected-dice", "power-bald", "power-pe", "softrank-bald", "kmeans-bald",
        "class-pe66", "class-pe33", "class-power-pe66", "class-power-pe33", "claspe", "random-fg66", "random-fg33",
        "flvmi", "gcmi", "logdetmi", "com",
    }  # fmt: skip


def test_a_name_that_is_taken_is_refused(registry: dict[str, type[Strategy]]) -> None:
    class Other(Random):
        name = "usim-f"

    with pytest.raises(ValueError, match=r"strategy 'usim-f': the name is taken by albench\.strategies\.usim\.UsimF"):
        register(Other)
    assert get_strategy("usim-f") is UsimF


@pytest.mark.parametrize("wrong", ["", "Mine", "a+b", "_shared", "a/b", "a,b", "ünder", "../up"])
def test_a_name_that_is_no_folder_is_refused(registry: dict[str, type[Strategy]], wrong: str) -> None:
    class Other(Random):
        name = wrong

    with pytest.raises(ValueError, match="expected a name of small letters"):
        register(Other)
    assert wrong not in strategy_names()


def test_a_class_that_cannot_be_made_or_explained_is_refused(registry: dict[str, type[Strategy]]) -> None:
    class Abstract(Strategy):
        name, summary, reference = "abstract", "none", "none"

    class Silent(Strategy):
        name, summary = "silent", "no reference"

        def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
            return Choice(np.arange(budget))

    with pytest.raises(ValueError, match="strategy 'abstract': expected a method select, found none"):
        register(Abstract)
    with pytest.raises(ValueError, match="strategy 'silent': expected a text in the attribute reference"):
        register(Silent)


@pytest.mark.parametrize(("name", "hint"), [("entropi", "did you mean entropy"), ("USIM-F", "did you mean usim-f")])
def test_an_unknown_name_lists_the_nearest(name: str, hint: str) -> None:
    for ask in (get_strategy, make_strategy):
        with pytest.raises(InputError) as caught:
            ask(name)
        assert str(caught.value).startswith(f"unknown strategy '{name}'; {hint}")


def test_a_renamed_strategy_says_its_new_name_and_why() -> None:
    for ask, given in ((get_strategy, "flqmi"), (make_strategy, "flqmi+eta=0.5")):
        with pytest.raises(InputError) as caught:
            ask(given)
        assert str(caught.value) == (
            "unknown strategy 'flqmi'; it is called flvmi now: PRISM calls this measure FLVMI; what they call FLQMI is "
            "what usim-f maximises"
        )
    assert "flqmi" not in strategy_names()


def test_a_name_like_no_other_lists_all() -> None:
    with pytest.raises(InputError) as caught:
        get_strategy("zzzzzzzz")
    assert str(caught.value).endswith(f"known: {', '.join(sorted(strategy_names()))}")


# --- Other packages

SOURCE = '''
from albench.strategies import Strategy
from albench.strategies.random import Random


class Theirs(Random):
    """Uniform."""

    name = "theirs"


class Misnamed(Random):
    name = "other"


class Positional(Random):
    name = "positional"

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta


number = 3
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Makes distributions of given entry points, found as installed ones are."""
    (tmp_path / "their_package.py").write_text(SOURCE)
    (tmp_path / "leaving.py").write_text("import sys\nprint('I leave')\nsys.exit(3)\n")
    (tmp_path / "raising.py").write_text("raise GeneratorExit\n")
    (tmp_path / "slow.py").write_text("import time\nprint('I think')\ntime.sleep(0.5)\n" + SOURCE)
    monkeypatch.syspath_prepend(tmp_path)

    def forget() -> None:
        module._plugins.cache_clear()
        module._load.cache_clear()

    def make(distribution: str, **entries: str) -> None:
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (folder / "entry_points.txt").write_text("\n".join(["[albench.strategies]", *lines, ""]))
        forget()

    yield make
    monkeypatch.undo()
    forget()


def test_a_strategy_of_another_package_is_found_by_its_entry_point(install) -> None:
    before = strategy_names()
    install("theirs", theirs="their_package:Theirs")
    assert strategy_names() == [*before, "theirs"]
    assert get_strategy("theirs").__module__ == "their_package"
    assert get_strategy("theirs") is get_strategy("theirs")
    assert make_strategy("theirs").name == "theirs"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"theirs": "no_such_package:Theirs"}, "strategy 'theirs': cannot load no_such_package:Theirs: ModuleNotFound"),
        ({"theirs": "leaving:Theirs"}, "strategy 'theirs': cannot load leaving:Theirs: SystemExit(3)"),
        ({"theirs": "raising:Theirs"}, "strategy 'theirs': cannot load raising:Theirs: GeneratorExit"),
        ({"theirs": "their_package:Absent"}, "strategy 'theirs': cannot load their_package:Absent: AttributeError"),
        ({"theirs": "their_package:number"}, "strategy 'theirs': expected their_package:number to be a Strategy class"),
        ({"theirs": "their_package:Misnamed"}, "strategy 'theirs': expected their_package:Misnamed to be a Strategy"),
        ({"positional": "their_package:Positional"}, "strategy 'positional', parameter beta: expected a keyword-only"),
    ],
)
def test_one_that_cannot_be_used_says_why_and_leaves_the_others(install, entries: dict[str, str], message: str) -> None:
    install("theirs", **entries)
    (name,) = entries
    assert name in strategy_names()
    with pytest.raises(InputError) as caught:
        get_strategy(name)
    assert str(caught.value).startswith(message)
    assert get_strategy("usim-f") is UsimF


def test_what_a_package_prints_is_no_output_and_a_slow_one_is_named(
    install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SLOW_S", 0.1)
    install("theirs", theirs="slow:Theirs")
    assert get_strategy("theirs").name == "theirs"
    out, err = capsys.readouterr()
    assert out == ""
    assert "I think" in err and "strategy 'theirs': importing slow:Theirs takes more than 0 s" in err


def test_a_name_given_twice_is_refused_with_both(install) -> None:
    install("first", theirs="their_package:Theirs", random="their_package:Theirs")
    install("second", theirs="their_package:Misnamed")
    assert strategy_names().count("theirs") == strategy_names().count("random") == 1
    with pytest.raises(InputError, match=r"'theirs': expected the name once, found it in .* and in their_package:"):
        get_strategy("theirs")
    with pytest.raises(InputError, match=r"found it in albench\.strategies\.random:Random and in their_package:Theirs"):
        get_strategy("random")
