"""How the command ends when it is asked to."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A run that waits, in a process whose signals are as at its start, whatever started the tests.
WAIT = """
import multiprocessing, signal, sys, time, types
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, getattr(signal, sys.argv[1]))
from albench.terminal import cli
def wait(request, reporter):
    try:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            handler = pool.apply(signal.getsignal, (signal.SIGTERM,))
        try:
            print("running", handler, flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            if sys.argv[2] != "lost":
                raise
        time.sleep(60)  # lost, as in a callback of Python's
    finally:
        print("tidied up", flush=True)
sys.modules["albench.study.run"] = types.SimpleNamespace(run=wait)  # saves seconds
cli.main(["run", "--dataset", "phantom"])
"""


def stopped(
    number: signal.Signals, handler: str = "SIG_DFL", first: str = "heard", code: str = WAIT
) -> tuple[int, str, str]:
    """Status, rest of standard output and standard error after one signal; a minute at most."""
    command = [sys.executable, "-c", code, handler, first]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # A pool's processes are ended with SIGTERM, and must neither take it for the user's nor ignore it.
            assert process.stdout.readline() == f"running {int(signal.SIG_DFL)}\n"
            process.send_signal(number)
            if handler == "SIG_IGN":
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(1)
                process.kill()
            out, error = process.communicate(timeout=50)
        finally:
            process.kill()
    return process.returncode, out, error


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_tidies_up_and_says_that_it_resumes(number: signal.Signals, status: int) -> None:
    assert stopped(number) == (
        status,
        "tidied up\n",
        "interrupted; finished stages are kept, and the same command resumes\n",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "does", "said"),
    [
        (
            '["train", "--dataset", "raw"',
            "train.train_project",
            "finished stages are kept, and the same command resumes",
        ),
        (
            '["query", "--images", "raw", "--budget", "1", "--dataset", "raw"',
            "query.make_query",
            "the same command starts again",
        ),
    ],
)
def test_only_what_keeps_something_says_that_it_resumes(command: str, does: str, said: str) -> None:
    module, function = does.split(".")
    of_study = 'sys.modules["albench.study.run"] = types.SimpleNamespace(run=wait)'
    assert of_study in WAIT
    code = WAIT.replace(
        of_study, f'sys.modules["albench.project.{module}"] = types.SimpleNamespace({function}=wait)'
    ).replace('["run", "--dataset", "phantom"', f'{command}, "--out", "models"')
    assert stopped(signal.SIGINT, code=code) == (130, "tidied up\n", f"interrupted; {said}\n")


def test_a_stop_that_is_lost_on_its_way_comes_again() -> None:
    status, out, _ = stopped(signal.SIGTERM, first="lost")
    assert (status, out) == (143, "tidied up\n")


def test_a_caller_that_ignores_the_signal_is_heeded() -> None:
    status, out, _ = stopped(signal.SIGTERM, "SIG_IGN")
    assert (status, out) == (-signal.SIGKILL, "")
