"""Studies on Dask's workers: results are those of one process, whatever of head, scheduler and workers dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from multiprocessing.context import ForkProcess
from pathlib import Path

import psutil
import pytest

from albench.data import Dataset
from tests.support.dask_cluster import DaskCluster, await_none, kill_all
from tests.support.joined_study import JoinedStudy

pytestmark = pytest.mark.slow

CHAINS = ("entropy",)  # each takes the start of a process


@pytest.fixture(scope="module")
def alone(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return JoinedStudy(phantom, tmp_path_factory.mktemp("alone") / "out", strategies=CHAINS).artefacts_alone()


@pytest.fixture
def study(phantom: Dataset, tmp_path: Path) -> JoinedStudy:
    return JoinedStudy(phantom, tmp_path / "out", strategies=CHAINS)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    with DaskCluster(tmp_path) as running:
        yield running


def joined_process(child: int) -> psutil.Process:
    """The joined process whose child trains."""
    parent = psutil.Process(child).parent()
    assert parent is not None
    return parent


def start_endless(study: JoinedStudy, cluster: DaskCluster) -> tuple[ForkProcess, psutil.Process]:
    """Start a worker and a head; return it and the joined process once that has begun a training that does not end."""
    cluster.start_worker()
    study.out.with_name("endless").write_text("entropy/seed-0")
    head = cluster.start_head(study)
    return head, joined_process(study.await_training("entropy"))


def test_two_workers_share_a_study_of_which_one_is_killed(
    study: JoinedStudy, cluster: DaskCluster, alone: dict[str, str]
) -> None:
    workers = [cluster.start_worker() for _ in range(2)]
    study.out.with_name("endless").write_text("entropy/seed-0")
    head = cluster.start_head(study)
    joined = joined_process(study.await_training("entropy"))
    (lost,) = [each for each in workers if each.pid in {above.pid for above in joined.parents()}]
    kill_all(lost)
    await_none([joined])
    study.out.with_name("endless").unlink()
    study.finish(head)
    study.require_equal(alone)
    assert study.ends_of("entropy") in (["left", "done"], [None, "done"])


def test_a_killed_head_is_started_again_and_what_runs_goes_on(
    study: JoinedStudy, cluster: DaskCluster, alone: dict[str, str]
) -> None:
    head, joined = start_endless(study, cluster)
    assert head.pid is not None
    os.kill(head.pid, signal.SIGKILL)
    head.join()
    again = cluster.start_head(study)
    time.sleep(3)
    assert joined.is_running()
    study.out.with_name("endless").unlink()
    study.finish(again)
    study.require_equal(alone)
    assert study.ends_of("entropy") == ["done"]


@pytest.mark.long
def test_a_head_that_is_stopped_stops_the_workers_processes(
    study: JoinedStudy, cluster: DaskCluster, alone: dict[str, str]
) -> None:
    head, joined = start_endless(study, cluster)
    assert head.pid is not None
    os.kill(head.pid, signal.SIGTERM)
    head.join(60)
    assert head.exitcode
    await_none([joined])
    assert study.ends_of("entropy") == ["left"]
    study.out.with_name("endless").unlink()
    study.finish(cluster.start_head(study))
    study.require_equal(alone)


@pytest.mark.long
def test_a_killed_scheduler_is_found_again_when_it_is_back(
    study: JoinedStudy, cluster: DaskCluster, alone: dict[str, str]
) -> None:
    head, _ = start_endless(study, cluster)
    kill_all(cluster.started[0])
    cluster.start_scheduler()
    cluster.start_worker()
    time.sleep(5)
    study.out.with_name("endless").unlink()
    study.finish(head)
    study.require_equal(alone)


def test_failed_chains_and_other_versions_are_told_by_the_head(study: JoinedStudy, cluster: DaskCluster) -> None:
    said = study.out.with_name("said")
    cluster.start_worker()
    study.finish(cluster.start_head(study, versions={"albench": "9.9"}), status=2)
    assert said.read_text().startswith("expected albench 9.9, as where the study was started, found albench ")
    assert not study.trainings("begin")
    study.out.with_name("unlucky").write_text("entropy/seed-0")
    study.finish(cluster.start_head(study), status=1)
    first, last = said.read_text().splitlines()
    assert " entropy seed 0  failed 3 times, last on " in first and last.startswith("1 failed, all others are done; ")


@pytest.fixture
def namespaces() -> Iterator[str]:
    """Prefix of two network namespaces on one bridge; skipped where there can be none."""
    script = Path(os.environ.get("ALBENCH_NETNS_UP", "../shared/cluster/netns-up"))
    if os.geteuid() or not script.is_file() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root, the command ip, and ALBENCH_NETNS_UP")
    prefix = f"al{os.getpid() % 10000}"
    try:
        if subprocess.run([script, prefix, "2"], check=False).returncode:
            pytest.skip("no network namespace can be made here")
        yield prefix
    finally:
        subprocess.run([script, "-d", prefix], check=True)


@pytest.mark.long
def test_a_network_that_is_cut_for_100_seconds(
    study: JoinedStudy, tmp_path: Path, alone: dict[str, str], namespaces: str
) -> None:
    hosts = [f"10.99.0.{1 + number}" for number in range(2)]
    inside = {host: ("ip", "netns", "exec", f"{namespaces}{number}") for number, host in enumerate(hosts)}

    def link(state: str) -> None:
        port = ["ip", "link", "set", f"port-{namespaces}1", state]
        subprocess.run(["ip", "netns", "exec", f"{namespaces}-net", *port], check=True)

    with DaskCluster(tmp_path, hosts[0], inside) as cluster:
        cluster.start_worker(hosts[1])
        study.out.with_name("endless").write_text("entropy/seed-0")
        head = cluster.start_head(study, namespace=f"{namespaces}0")
        study.await_training("entropy")
        cluster.start_worker(hosts[0])
        link("down")
        time.sleep(100)
        link("up")
        study.out.with_name("endless").unlink()
        study.finish(head)
    study.require_equal(alone)
