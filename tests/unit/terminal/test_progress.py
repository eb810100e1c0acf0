"""Progress from worker processes."""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import signal
import threading
import time
from multiprocessing.connection import Connection

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from albench.study.relay import Remote, relay
from albench.terminal.progress import Terminal


def _terminal() -> tuple[Terminal, io.StringIO]:
    text = io.StringIO()
    return Terminal(Console(file=text, soft_wrap=True)), text


def _chatter(events: Connection) -> None:
    reporter = Remote(events)
    while True:
        reporter.say("x" * 300)


def test_relay_survives_workers_killed_in_the_middle_of_a_message() -> None:
    # 40 processes that do nothing but send: some are bound to die in the middle of it.
    context = multiprocessing.get_context("fork")
    terminal, text = _terminal()
    draw = random.Random(0)

    def run() -> None:
        with relay(terminal) as events:
            for _ in range(20):
                workers = [context.Process(target=_chatter, args=(events,)) for _ in range(2)]
                for worker in workers:
                    worker.start()
                time.sleep(draw.uniform(0.01, 0.05))
                for worker in workers:
                    assert worker.pid is not None
                    os.kill(worker.pid, signal.SIGKILL)
                    worker.join()
            Remote(events).say("the last word")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive()
    lines = text.getvalue().splitlines()
    assert lines[-1] == "the last word"
    assert len(lines) > 40
    assert set(lines[:-1]) == {"x" * 300}


@given(st.text(alphabet=st.sampled_from('aé\n"\\\x01😀'), min_size=0, max_size=5000))
def test_every_message_arrives_whole_or_shortened(text: str) -> None:
    terminal, shown = _terminal()
    with relay(terminal) as events:
        Remote(events).say(text)
    arrived = shown.getvalue().removesuffix("\n")
    assert arrived == text or (arrived.endswith("…") and text.startswith(arrived[:-1]) and len(arrived) > 300)


def test_tasks_of_two_reporters_do_not_mix() -> None:
    terminal, shown = _terminal()
    with relay(terminal) as events:
        first, second = Remote(events), Remote(events)
        with first.task("outer", total=2) as advance, second.task("inner"):
            advance("note")
    assert [line.split(":")[0] for line in shown.getvalue().splitlines()] == ["inner", "outer"]
