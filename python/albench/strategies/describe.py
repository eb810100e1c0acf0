"""What is told of a strategy: from its attributes, its constructor and its docstring."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict, dataclass
from typing import Any

from albench.scoring.request import Need
from albench.strategies.base import Strategy
from albench.strategies.parameters import parameters_of, text_of

_NEEDS = {
    Need.ENTROPY: "softmax entropy, one pass without dropout",
    Need.VARIANCE: "variance of the softmax over Monte-Carlo dropout passes",
    Need.PREDICTIVE_ENTROPY: "entropy of the softmax averaged over Monte-Carlo dropout passes",
    Need.MUTUAL_INFORMATION: "mutual information of prediction and weights, by Monte-Carlo dropout passes",
    Need.CLASS_ENTROPY: "entropy of the averaged softmax, weighted by each class' share in it",
    Need.EXPECTED_ENTROPY: "mean entropy of the softmax of Monte-Carlo dropout passes",
    Need.EXPECTED_DICE: "soft Dice of Monte-Carlo dropout passes with their mean",
    Need.FISHER: "gradients of convolution weights sampled by Fisher information",
    Need.BOTTLENECK: "gradient of the encoder's deepest convolution",
    Need.LAST_LAYER: "gradient of the last decoder convolution",
    Need.FEATURES: "activations at the bottleneck, of annotated units too",
    Need.STAGE_FEATURES: "activations of the encoder's second-deepest stage, of all folds",
}
_SECTION = re.compile(r"^([A-Z][A-Za-z ]*)\n-{3,}\n", re.MULTILINE)


@dataclass(frozen=True)
class ParameterText:
    """One parameter; `values` are the words to choose from, None where there is no such list."""

    name: str
    type: str
    default: Any
    values: list[str] | None
    description: str

    def setting(self) -> str:
        """``name=default``, as on the command line."""
        return f"{self.name}={text_of(self.default)}"


@dataclass(frozen=True)
class Description:
    """A strategy in words.

    Attributes
    ----------
    description
        The docstring's paragraphs, its sections left out.
    needs
        What is computed or looked up for it before it chooses.
    """

    name: str
    summary: str
    reference: str
    oracle_aided: bool
    needs: list[str]
    parameters: list[ParameterText]
    description: str

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return asdict(self)


def describe(strategy: type[Strategy]) -> Description:
    """Describe a strategy class."""
    text, _ = _split(inspect.cleandoc(strategy.__doc__ or ""))
    told: dict[str, str] = {}
    for owner in reversed(strategy.__mro__):  # a parameter is told of where it is declared, or again below
        told |= _entries(_split(inspect.cleandoc(owner.__doc__ or ""))[1].get("Parameters", ""))
    needs = [_NEEDS[need] for need in strategy.needs]
    return Description(
        name=strategy.name,
        summary=strategy.summary,
        reference=strategy.reference,
        oracle_aided=strategy.oracle_aided,
        needs=[*needs, *(["ground truth of every unit"] if strategy.oracle_aided else [])],
        parameters=[
            ParameterText(
                name=parameter.name,
                type="choice" if parameter.choices else parameter.kind.__name__,
                default=parameter.default,
                values=list(parameter.choices) or None,
                description=told.get(parameter.name, ""),
            )
            for parameter in parameters_of(strategy)
        ],
        description=text,
    )


def _split(docstring: str) -> tuple[str, dict[str, str]]:
    """Paragraphs of a NumPy docstring, and its sections by title; line breaks within a paragraph are undone."""
    head, *rest = _SECTION.split(docstring.replace("``", ""))
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", head.strip())]
    return "\n\n".join(paragraphs), dict(zip(rest[::2], rest[1::2], strict=True))


def _entries(section: str) -> dict[str, str]:
    """Return descriptions by name, of a section in which names stand at the margin and descriptions below, indented."""
    entries: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
            entries |= dict.fromkeys(names, "")
        else:
            entries |= {name: f"{entries[name]} {line.strip()}".strip() for name in names}
    return entries
