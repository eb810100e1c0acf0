"""Joined processes on a cluster's workers: what is asked for, and what the head does with whatever becomes of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from albench.errors import InputError, WorkerError
from albench.results.claims import deciding_versions
from albench.study.cluster import head as head_module
from albench.study.cluster import pool as pool_module
from albench.study.cluster import task as task_module
from albench.study.cluster.head import Head
from albench.study.cluster.settings import ClusterSettings, read_cluster, require_job
from albench.study.cluster.task import Order, Outcome, work
from albench.study.request import RunRequest
from albench.study.run import run
from tests.support.fake_study import Listening

ORDER = Order(Path("study.yaml"), (), {})
DONE = Outcome("a", 0, ())
DIED = Outcome("a", -9, ("Killed",))
REFUSED = Outcome("a", 2, ("--data: expected a folder",))


def cluster_file(folder: Path, text: str) -> Path:
    file = folder / "cluster.yaml"
    file.write_text(text)
    return file


def test_all_keys_are_read(tmp_path: Path) -> None:
    text = (
        'jobs: 8\nqueue: gpu\naccount: lab\nwalltime: "2-00:00:00"\ncpus: 12\n'
        "memory: 48GB\ngpus: 2\nchains_per_gpu: 3\n"
        'python: apptainer exec --nv X.sif python\nprologue: [module load cuda]\ndirectives: ["--requeue"]\n'
        "interface: ib0\nscratch: $SLURM_TMPDIR\nclaim_ttl: 60\n"
    )
    settings = read_cluster(cluster_file(tmp_path, text))
    assert settings.model_fields_set == set(ClusterSettings.model_fields)
    assert settings.chains == 6
    require_job(None, settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job: 3", "unknown key 'job'; did you mean jobs?"),
        ("jobs: 0", "jobs: Input should be greater than or equal to 1, got 0"),
        ("jobs: three", "jobs: Input should be a valid integer, got 'three'"),
        ("walltime: 24:00:00", 'walltime: expected a text in quotes such as "24:00:00" or "2-00:00:00", got 86400'),
        ('walltime: "24 h"', "walltime: expected a text in quotes such as \"24:00:00\" or \"2-00:00:00\", got '24 h'"),
        ("memory: 16", "memory: expected a size such as 16GB or 500MiB, got 16"),
        ('directives: ["-a\\n-b"]', "directives.0: expected 1 to 500 printable characters, got '-a\\n-b'"),
        ("[1]", "expected settings by name, e.g. jobs: 4, got [1]"),
    ],
)  # fmt: skip
def test_another_value_is_refused_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    file = cluster_file(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_cluster(file)
    assert str(caught.value) == f"{file}: {message}"


def test_what_no_default_fits_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="slurm: expected --cluster FILE with jobs, memory, walltime for jobs"):
        run(RunRequest(("phantom",), out=tmp_path / "out", scheduler="slurm"))
    file = cluster_file(tmp_path, "jobs: 2\nmemory: 1GB\n")
    with pytest.raises(InputError, match=r"cluster\.yaml: expected walltime for jobs of Slurm"):
        run(RunRequest(("phantom",), out=tmp_path / "out", scheduler="slurm", cluster=file))
    assert not (tmp_path / "out").exists()


def test_bad_requests_are_refused_before_anything_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = RunRequest(("phantom",), out=tmp_path / "out", scheduler="tcp://127.0.0.1:1")

    def refusal(**others: Any) -> str:
        with pytest.raises(InputError) as caught:
            run(RunRequest(**{**vars(asked), **others}))
        return str(caught.value)

    assert refusal(strategy="randon").startswith("unknown strategy 'randon'")
    assert "expected neither --join nor --fresh" in refusal(join=True)
    assert "expected neither --join nor --fresh" in refusal(resume=False)
    monkeypatch.setattr(pool_module, "_CONNECT_S", 0.1)
    assert refusal().startswith(
        "--scheduler tcp://127.0.0.1:1: expected the address of a Dask scheduler that answers, or slurm; "
        "found none (OSError: Timed out trying to connect to "
    )
    monkeypatch.setattr(pool_module.importlib.util, "find_spec", lambda name: None)
    assert refusal().endswith(
        "expected distributed, dask-jobqueue, cryptography, found none; pip install 'al-bench[cluster]'"
    )


def test_tls_needs_a_certificate_that_can_be_read(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask")
    request = RunRequest(("phantom",), out=tmp_path / "out", scheduler="tls://127.0.0.1:1")
    with pytest.raises(InputError, match=r"^--scheduler tls://127.* \(ValueError: no certificate in Dask's config"):
        run(request)
    missing = {"key": str(tmp_path / "key.pem"), "cert": str(tmp_path / "cert.pem")}
    tls = {"distributed.comm.tls.ca-file": missing["cert"], "distributed.comm.tls.client": missing}
    with dask.config.set(tls), pytest.raises(InputError, match=r"\(FileNotFoundError: .*No such file"):
        run(request)
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(InputError, match=r"\(RuntimeError: encryption required by Dask"),
    ):
        run(RunRequest(("phantom",), out=tmp_path / "out", scheduler="tcp://127.0.0.1:1"))


class FakePool:
    """Workers whose processes end as a list says, one after the other; None: they run on."""

    most: int | None = None

    def __init__(self, workers: Sequence[set[str]], ends: dict[str, list[Outcome | None]]) -> None:
        self._workers, self._ends = list(workers), ends
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.n_renewed = 0

    def workers(self) -> set[str]:
        return self._workers.pop(0) if len(self._workers) > 1 else self._workers[0]

    def renew(self) -> None:
        self.n_renewed += 1

    def start(self, order: Order, address: str) -> Any:
        self.started.append(address)
        end = self._ends[address].pop(0)
        return SimpleNamespace(outcome=lambda: end, is_lost=False, cancel=lambda: self.cancelled.append(address))

    def stop(self, study: Path) -> None:
        """Nothing runs."""


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Listening:
    monkeypatch.setattr(head_module, "_LOOK_EVERY_S", 0.0)
    return Listening()


def head_of(pool: FakePool, heard: Listening, tell: Callable[[], int] = lambda: 0) -> Head:
    return Head(pool, ORDER, SimpleNamespace(tell=tell), heard)  # type: ignore[arg-type]


def test_what_dies_and_what_is_lost_is_replaced(heard: Listening) -> None:
    pool = FakePool([set(), {"a", "b"}, {"a", "b"}, {"a"}, {"a", "c"}], {"a": [DIED, None], "b": [None], "c": [DONE]})
    head = head_of(pool, heard)
    assert head.await_end() == DONE
    assert pool.started == ["a", "b", "a", "c"]
    assert pool.cancelled == ["b"]
    assert heard.heard == ["a joined process on a ended (signal 9: Killed)", "b: lost; others take over what it had"]
    assert set(head.working) == {"a"}


def test_no_more_are_started_than_are_asked_for(heard: Listening) -> None:
    pool = FakePool([{"a", "b", "c"}], {"a": [DIED, DIED, DONE], "b": [None]})
    pool.most = 2
    assert head_of(pool, heard).await_end() == DONE
    assert set(pool.started) == {"a", "b"}


def test_a_worker_that_refuses_is_left_alone_while_others_work(heard: Listening) -> None:
    pool = FakePool([{"a", "b"}] * 4 + [{"b"}], {"a": [REFUSED], "b": [None, DONE]})
    pool._ends["b"] = [DIED, DIED, DONE]
    assert head_of(pool, heard).await_end() == DONE
    assert pool.started.count("a") == 1
    assert heard.heard[0] == "a: --data: expected a folder"


def test_where_all_refuse_their_reason_is_the_heads(heard: Listening) -> None:
    with pytest.raises(InputError, match=r"^--data: expected a folder$"):
        head_of(FakePool([{"a"}], {"a": [REFUSED]}), heard).await_end()


def test_processes_that_die_again_and_again_are_given_up(heard: Listening) -> None:
    with pytest.raises(WorkerError, match=r"^6 joined processes died and no round was done meanwhile; "):
        head_of(FakePool([{"a", "b"}], {"a": [DIED] * 5, "b": [DIED] * 5}), heard).await_end()


def test_deaths_are_forgiven_where_rounds_are_done(heard: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_module, "_RENEW_EVERY_S", 0.0)
    done = iter(range(100))
    pool = FakePool([{"a"}], {"a": [DIED] * 10 + [DONE]})
    assert head_of(pool, heard, lambda: next(done)).await_end() == DONE
    assert pool.n_renewed == 11


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_module, "_environment", lambda: None)


def joined(folder: Path, code: str) -> Order:
    """An order whose process runs a module that is `code`."""
    (folder / "joined_module.py").write_text(f"import os, sys\nsys.path[:0] = []\n{code}\n")
    return Order(folder / "study.yaml", ("--join",), deciding_versions(), module="joined_module")


@pytest.mark.parametrize(
    ("code", "status", "lines", "is_over"),
    [
        ("", 0, (), True),
        ("print('al-bench: a\\nal-bench: b', file=sys.stderr); sys.exit(1)", 1, ("a", "b"), True),
        ("raise KeyError('odd')", 1, ("KeyError: 'odd'",), False),
        ("print('al-bench: no', file=sys.stderr); sys.exit(2)", 2, ("no",), False),
        ("print('so far', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)", -9, ("so far",), False),
    ],
    ids=["done", "failed", "raised", "refused", "killed"],
)  # fmt: skip
@pytest.mark.usefixtures("here")
def test_how_a_joined_process_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, status: int, lines: tuple[str, ...], is_over: bool
) -> None:
    monkeypatch.chdir(tmp_path)  # python -m looks there
    outcome = work(joined(tmp_path, code))
    assert (outcome.status, outcome.lines, outcome.is_over) == (status, lines, is_over)
    assert not task_module._running


def test_other_versions_are_refused_in_a_line(tmp_path: Path) -> None:
    outcome = work(Order(tmp_path, (), {**deciding_versions(), "torch": "0.1"}))
    assert outcome.is_refused
    assert outcome.lines[0].startswith("expected torch 0.1, as where the study was started, found torch ")
    assert "nnunet" not in outcome.lines[0]


def test_a_process_stops_as_by_sigterm_when_whoever_started_it_is_gone() -> None:
    code = "from albench.machine.parent import stop_with_input; import time; stop_with_input(); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        time.sleep(0.2)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(30) == -15
