from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from albench.errors import InputError
from albench.scoring.request import Scores
from albench.strategies import Choice, PoolView, Strategy, choose
from albench.strategies.base import finite, noise_ranked, non_negative, one_of, positive, seed_of, top
from tests.support.strategies_reference import assert_frequencies, by_power, units, view_of


def test_ties_go_to_the_lowest_index() -> None:
    scores = np.array([1.0, 2.0, 1.0, 2.0, 0.0, 1.0] * 20)
    expected = sorted(range(scores.size), key=lambda i: (-scores[i], i))[:70]
    assert top(scores, 70).indices.tolist() == expected
    assert top(scores, 70).indices.dtype == np.int64


def test_noise_is_gumbel_of_scale_one_over_beta() -> None:
    log_scores = np.log(np.array([0.2, 3.0, 1.0, 0.7]))
    for beta in (0.5, 1.0, 10.0):
        noise = np.random.default_rng(4).gumbel(0, 1 / beta, 4)
        expected = sorted(range(4), key=lambda i: -(log_scores[i] + noise[i]))
        assert noise_ranked(log_scores, 4, np.random.default_rng(4), beta).indices.tolist() == expected


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_the_first_of_a_noisy_ranking_is_drawn_by_the_power_of_its_score(beta: float) -> None:
    scores, rng = np.array([0.1, 0.5, 1.0, 0.3]), np.random.default_rng(0)
    first = [noise_ranked(np.log(scores), 2, rng, beta).indices[0] for _ in range(4000)]
    assert_frequencies(np.bincount(first, minlength=4), by_power(scores, beta))


def test_the_second_is_drawn_by_the_power_of_its_score_among_the_rest() -> None:
    """Without replacement, as by successive draws (Yellott 1977)."""
    scores, rng = np.array([0.1, 0.5, 1.0]), np.random.default_rng(0)
    pairs = np.zeros((3, 3))
    for _ in range(6000):
        i, j = noise_ranked(np.log(scores), 2, rng).indices
        pairs[i, j] += 1
    expected = np.array(
        [[0 if i == j else scores[i] / 1.6 * scores[j] / (1.6 - scores[i]) for j in range(3)] for i in range(3)]
    )
    assert expected.sum() == pytest.approx(1)
    assert_frequencies(pairs.ravel(), expected.ravel())


def test_scores_of_zero_come_last_in_random_order() -> None:
    log_scores = np.array([-np.inf, 0.0, -np.inf, -50.0, -np.inf])
    orders = [noise_ranked(log_scores, 5, np.random.default_rng(seed)).indices.tolist() for seed in range(40)]
    assert {tuple(order[:2]) for order in orders} == {(1, 3)}
    assert len({tuple(order[2:]) for order in orders}) == 6


class Answers(Strategy):
    """Answers what it is told to."""

    name = "answers"

    def __init__(self, answer: Any, **more: Any) -> None:
        self.answer, self.more = answer, more

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        return Choice(np.asarray(self.answer), **self.more)


@pytest.mark.parametrize(
    "answer", [[0, 1], [0, 1, 2, 3], [0, 1, 1], [0, 1, 4], [-1, 0, 1], [0.0, 1.0, 2.0], [[0, 1, 2]]], ids=str
)
def test_an_answer_that_is_no_batch_is_refused(answer: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"strategy 'answers': expected 3 different int64 indices in 0\.\.3, got "):
        choose(Answers(answer), view_of(4), 3, np.random.default_rng(0))


@pytest.mark.parametrize("part", ["scores", "gains"])
def test_an_answer_has_a_score_and_a_gain_for_each_unit(part: str) -> None:
    with pytest.raises(ValueError, match=rf"strategy 'answers', {part}: expected shape \(2,\), got \(1,\)"):
        choose(Answers([0, 1], **{part: np.ones(1)}), view_of(4), 2, np.random.default_rng(0))


def test_a_good_answer_is_passed_on() -> None:
    assert choose(Answers([3, 1]), view_of(4), 2, np.random.default_rng(0)).indices.tolist() == [3, 1]


def test_a_selection_without_scores_says_so() -> None:
    selection = Choice(indices=np.array([3, 1]))
    assert np.isnan(selection.scores).all()
    assert selection.scores.shape == selection.gains.shape == (2,)


@pytest.mark.parametrize("name", ["entropy", "variance", "mutual_information", "class_entropy"])
def test_scores_have_to_be_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match=f"scores: {name} was not asked for"):
        view_of(2).score(name)


def test_uncertainty_refuses_weights_that_are_not_finite() -> None:
    view = PoolView(units(2), Scores(variance=np.ones((2, 3))), np.array([0, np.nan, 1.0]))
    with pytest.raises(ValueError, match="class_weights: expected finite values, got 1 of 3 that are not"):
        _ = view.uncertainty


def test_finite_counts_what_is_not() -> None:
    values = np.ones((3, 4), dtype=np.float32)
    assert finite("x", values) is values
    values[0, 1], values[2, 2] = np.nan, -np.inf
    with pytest.raises(ValueError, match=r"^x: expected finite values, got 2 of 12 that are not$"):
        finite("x", values)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: positive("beta", 0.0), "parameter beta: expected a positive number, got 0.0"),
        (lambda: positive("beta", float("inf")), "parameter beta: expected a positive number, got inf"),
        (lambda: non_negative("eta", -0.5), "parameter eta: expected a number of at least 0, got -0.5"),
        (lambda: non_negative("eta", float("nan")), "parameter eta: expected a number of at least 0, got nan"),
        (lambda: one_of("query", "some", ("a", "b")), "parameter query: expected one of a, b, got 'some'"),
    ],
)
def test_parameters_out_of_range_are_input_errors(check: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check()
    assert str(caught.value) == message


def test_parameters_in_range_come_back() -> None:
    assert (positive("b", 2), non_negative("e", 0), one_of("q", "a", ("a", "b"))) == (2.0, 0.0, "a")


def test_seeds_come_from_the_generator() -> None:
    first, again = (seed_of(np.random.default_rng(3)) for _ in range(2))
    assert first == again != seed_of(np.random.default_rng(4))
