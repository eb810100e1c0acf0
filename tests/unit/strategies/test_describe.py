from __future__ import annotations

import io
import json
from typing import Literal

import pytest
from rich.console import Console

from albench.strategies import get_strategy, label_of, make_strategy, strategy_names
from albench.strategies.describe import ParameterText, describe
from albench.strategies.random import Random
from albench.terminal.strategies import print_strategies, print_strategy


class Told(Random):
    """Draws
    units.

    As ``random`` does.

    Parameters
    ----------
    share, other : float
        How much
        of it.
    kind
        ``one`` or ``two``.

    Notes
    -----
    Nothing.
    """

    name = "told"

    def __init__(self, *, share: float = 0.5, other: float = 2.0, kind: Literal["one", "two"] = "one") -> None:
        self.share, self.other, self.kind = share, other, kind


def test_docstrings_are_told_by_section() -> None:
    told = describe(Told)
    assert told.description == "Draws units.\n\nAs random does."
    assert told.parameters == [
        ParameterText("share", "float", 0.5, None, "How much of it."),
        ParameterText("other", "float", 2.0, None, "How much of it."),
        ParameterText("kind", "choice", "one", ["one", "two"], "one or two."),
    ]
    assert [parameter.setting() for parameter in told.parameters] == ["share=0.5", "other=2", "kind=one"]
    assert (told.needs, told.oracle_aided) == ([], False)


def test_texts_that_two_kernels_share_are_told_of_both() -> None:
    told = [{p.name: p.description for p in describe(get_strategy(name)).parameters} for name in ("usim-f", "usim-c")]
    for name in ("heads", "pseudo_labels"):
        assert "the finest" in told[0]["pseudo_labels"]
        assert told[0][name] == told[1][name] != ""


def test_the_order_of_parameters_which_names_folders_stays() -> None:
    for label in (
        "usim-f+eta=2+query=expected+optimizer=naive+layers=all+heads=published+pseudo_labels=own+fisher=one+norm=1",
        "usim-c+eta=2+layer=last+heads=weighted+pseudo_labels=own",
        "flvmi+eta=2+layers=encoder+heads=published+pseudo_labels=own+fisher=none+norm=0.5",
    ):
        assert label_of(make_strategy("+".join([label.split("+")[0], *reversed(label.split("+")[1:])]))) == label


def test_needs_are_told_in_words() -> None:
    assert describe(get_strategy("usim-f")).needs == [
        "variance of the softmax over Monte-Carlo dropout passes",
        "gradients of convolution weights sampled by Fisher information",
    ]
    assert describe(get_strategy("random-fg66")).needs == ["ground truth of every unit"]


@pytest.mark.parametrize("name", strategy_names())
def test_descriptions_are_plain_json(name: str) -> None:
    told = describe(get_strategy(name)).as_json()
    assert json.loads(json.dumps(told)) == told
    assert "``" not in json.dumps(told)
    assert "----" not in json.dumps(told)


def shown(width: int, *names: str) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_strategies([describe(get_strategy(name)) for name in names], console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_list_has_name_line_parameters_and_reference() -> None:
    lines = [line.strip() for line in shown(120, "usim-f", "random-fg66").splitlines()]
    assert lines[0].split(maxsplit=1) == ["usim-f", get_strategy("usim-f").summary]
    settings = "eta=1+query=sampled+optimizer=lazy+layers=decoder+heads=trained+pseudo_labels=finest+fisher=mean+norm=0"
    assert "".join(lines[1:3]) == f"usim-f+{settings}"
    assert lines[3] == get_strategy("usim-f").reference
    assert any(line.startswith("random-fg66†") for line in lines)
    assert lines[-1] == "† reads ground truth when it chooses, as nobody could in practice"
    assert "†" not in shown(120, "usim-f")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, shown(width, *strategy_names()).splitlines())) <= width


def test_one_is_explained_with_all_its_values() -> None:
    console = Console(file=io.StringIO(), width=200)
    print_strategy(describe(get_strategy("usim-f")), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in (
        "usim-f: submodular mutual information",
        "Föllmer et al., MIDL 2024",
        "s(i, q) = (1 / P) sum_p g_ip g_qp / F_p",
        "eta=1  (float)",
        "query=sampled  (one of sampled, expected)",
        "optimizer=lazy  (one of lazy, naive, stochastic, lazier)",
        "layers=decoder  (one of decoder, encoder, all)",
        "variance of the softmax",
    ):
        assert expected in text
    assert "Parameters\n----" not in text
