"""Signals that ask to end, held back for a block."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from albench.machine.stopping import held_back


@pytest.fixture(autouse=True)
def came() -> Iterator[list[int]]:
    """What the handler of SIGTERM outside of blocks gets."""
    numbers: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        numbers.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def ask(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_a_signal_comes_when_the_block_is_over_however_often_it_was_sent(came: list[int]) -> None:
    with held_back() as is_asked:
        assert not is_asked()
        ask(signal.SIGTERM)
        ask(signal.SIGTERM)
        assert is_asked() and came == []
    assert came == [signal.SIGTERM]
    ask(signal.SIGTERM)
    assert came == [signal.SIGTERM] * 2


def test_nothing_comes_where_nothing_came(came: list[int]) -> None:
    with held_back():
        pass
    assert came == []


def test_ctrl_c_interrupts_at_the_end_and_a_second_one_at_once() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), held_back():
        ask(signal.SIGINT)
        reached = True
    assert reached
    with pytest.raises(KeyboardInterrupt), held_back():
        ask(signal.SIGINT)
        ask(signal.SIGINT)
        reached = False
    assert reached


def test_an_error_of_the_block_does_not_lose_the_signal(came: list[int]) -> None:
    with pytest.raises(KeyError), held_back():
        ask(signal.SIGTERM)
        raise KeyError
    assert came == [signal.SIGTERM]


def test_what_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with held_back() as is_asked:
        ask(signal.SIGTERM)
        assert not is_asked()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_other_threads_hold_nothing_back(came: list[int]) -> None:
    found = []

    def block() -> None:
        with held_back() as is_asked:
            found.append(is_asked())

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert found == [False] and came == []
