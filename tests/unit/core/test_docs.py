"""The examples of docs/core.md and of every public docstring of the core are run."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import albench
from albench import core

NAMES = {name: getattr(module, name) for module in (albench, core) for name in module.__all__}
OF_A_STUDY = {"albench.run", "albench.load_results"}  # need minutes of training, or its results; see tests/integration


def public() -> dict[str, object]:
    """What `albench` and `albench.core` export that can be called, and the public methods that a class defines."""
    found: dict[str, object] = {}
    for module in (albench, core):
        for name in set(getattr(module, "__all__", ())) - {"InputError"}:
            if callable(value := getattr(module, name)):
                found[f"{module.__name__}.{name}"] = value
    for name, value in list(found.items()):
        if inspect.isclass(value):
            for attribute in vars(value):
                member = getattr(value, attribute)
                if not attribute.startswith("_") and inspect.isroutine(member):
                    found[f"{name}.{attribute}"] = member
    return found


def test_examples_in_the_documentation():
    found = doctest.testfile(str(Path(__file__).parents[3] / "docs" / "core.md"), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0


@pytest.mark.parametrize("name", sorted(set(public()) - OF_A_STUDY))
def test_every_public_docstring_has_an_example_that_holds(name):
    text = public()[name].__doc__
    assert text, f"{name} has no docstring"
    example = doctest.DocTestParser().get_doctest(text, NAMES, name, None, 0)
    assert example.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []
    runner.run(example, out=said.append)
    assert runner.failures == 0, "".join(said)
