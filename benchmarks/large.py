"""Memory of whole studies on data sets of more and more large volumes: ``python benchmarks/large.py``.

Makes CT-like volumes of 512 x 512 x 100 voxels with an organ and a lesion, runs ``al-bench run`` on the first 10, 30
and 90 of them and watches the memory of all its processes. Writes benchmarks/results/large.md. What it puts on the
disk is removed in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import SimpleITK

from albench.machine.facts import hardware
from albench.machine.scratch import scratch_folder

ROOT = Path(__file__).parent.parent
SPACING_MM = (2.5, 0.8, 0.8)
LABELS = {"0": "background", "1": "organ", "2": "lesion"}
BEFORE, AFTER = "hashing, verifying", "reporting"
STAGES = {  # by the word that the command line reports the end of each with
    "reading": "scanning for the pool",
    "preprocessing": "planning, preprocessing",
    "training": "querying, training",
    "scoring": "scoring",
    "evaluating": "evaluating",
}
COMMON = {"pool.max_cases": "null", "pool.max_test_cases": "null", "pool.test_share": "0.1", "scoring.passes": "2"}
STUDIES = {
    "quick protocol, entropy and usim-f": (
        "entropy,usim-f",
        {"training.first_iterations": "30", "training.round_iterations": "20"},
    ),
    "every label at full resolution": (
        "full",
        {
            "network.max_edge": "null",
            "network.base_features": "4",
            "network.batch_size": "2",
            "training.first_iterations": "10",
            "training.round_iterations": "10",
            "scoring.batch_size": "8",
        },
    ),
}


def waves(rng: np.random.Generator, n: int, periods: float) -> np.ndarray:
    """Smooth values of about -1 to 1 along one axis; float32 (n,)."""
    frequency, phase = rng.uniform(0.5, 1.0) * periods, rng.uniform(0, 2 * np.pi)
    return np.sin(frequency * np.linspace(0, 2 * np.pi, n) + phase).astype(np.float32)


def ellipsoid(shape: Sequence[int], centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    """Squared distance from a centre in radii, both as shares of the edges; below 1 inside."""
    z, y, x = (
        ((np.arange(n, dtype=np.float32) / n - c) / r) ** 2 for n, c, r in zip(shape, centre, radii, strict=True)
    )
    return z[:, None, None] + y[:, None] + x


def make_volume(folder: Path, number: int, shape: Sequence[int]) -> None:
    """Write one case: air around a body of smooth soft tissue, a brighter organ, a dark lesion in it."""
    name = f"case_{number:04d}.nii.gz"
    rng = np.random.default_rng(number)
    tissue = np.zeros(shape, dtype=np.float32)
    for periods in (1, 2, 4):
        z, y, x = (waves(rng, n, periods) for n in shape)
        tissue += (30 / periods) * (z[:, None, None] * y[:, None] * x)
    centre = rng.uniform(0.4, 0.6, 3)
    radii = rng.uniform(0.15, 0.3, 3)
    organ = ellipsoid(shape, centre, radii) < 1
    lesion = ellipsoid(shape, centre + radii * rng.uniform(-0.4, 0.4, 3), radii * rng.uniform(0.2, 0.4)) < 1
    tissue[organ] += 80
    tissue[lesion] -= 100
    image = (np.round(tissue / 4) * 4).astype(np.int16)
    image[ellipsoid(shape, (0.5, 0.5, 0.5), (2.0, 0.48, 0.48)) >= 1] = -1000
    labels = organ.astype(np.uint8)
    labels[lesion] = 2
    for part, array in (("imagesTr", image), ("labelsTr", labels)):
        volume = SimpleITK.GetImageFromArray(array)
        volume.SetSpacing(SPACING_MM[::-1])
        SimpleITK.WriteImage(volume, str(folder / part / name), useCompression=True, compressionLevel=1)


def make_dataset(folder: Path, volumes: Path, n_cases: int) -> None:
    """Lay a data set of the first volumes out as the Medical Segmentation Decathlon does, by links."""
    names = [f"case_{number:04d}.nii.gz" for number in range(n_cases)]
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / name).symlink_to(volumes / part / name)
    training = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    content = {"name": "large", "modality": {"0": "CT"}, "labels": LABELS, "training": training}
    (folder / "dataset.json").write_text(json.dumps(content))


def memory(process: psutil.Process) -> tuple[int, int]:
    """Bytes that a process and its children hold, without and with pages of files; shared pages count once."""
    anonymous = everything = 0
    for one in (process, *process.children(recursive=True)):
        try:
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss")}
        anonymous += sizes.get("Pss_Anon", 0) + sizes.get("Pss_Shmem", 0)
        everything += sizes.get("Pss", 0)
    return anonymous, everything


@dataclass
class Watch:
    """Peak memory of a process and its children, stage by stage."""

    process: psutil.Process
    peaks: dict[str, np.ndarray] = field(default_factory=lambda: defaultdict(lambda: np.zeros(2)))
    _samples: list[tuple[float, tuple[int, int]]] = field(default_factory=list)
    _since: float = field(default_factory=time.perf_counter)

    def sample(self) -> None:
        """Look ten times a second until the process ends."""
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            self._samples.append((time.perf_counter(), memory(self.process)))
            time.sleep(0.1)

    def end_stage(self, stage: str) -> None:
        """Book what came since the last stage's end under this one."""
        now = time.perf_counter()
        inside = [sizes for moment, sizes in self._samples if self._since <= moment < now]
        if inside:
            self.peaks[stage] = np.maximum(self.peaks[stage], np.max(inside, axis=0))
        self._since = now


def stage_ended(line: str) -> str | None:
    """Stage that a line of output reports the end of."""
    found = re.fullmatch(r"(.*): (\w+)\b[^:]*: [\d.]+ s", line.strip())
    if found is None:
        return None
    return STAGES.get(found.group(2)) if " seed " in found.group(1) else BEFORE


def watch_study(data: Path, out: Path, cache: Path, strategies: str, settings: dict[str, str]) -> Watch:
    """Run a study of two rounds and watch it."""
    command = [sys.executable, "-m", "albench", "run", "--dataset", str(data), "--strategy", strategies]
    command += ["--protocol", "quick", "--seeds", "1", "--rounds", "2", "--budget", "20", "--device", "cpu"]
    command += ["--jobs", "1", "--out", str(out), "--cache", str(cache)]
    for name, value in (COMMON | settings).items():
        command += ["--set", f"{name}={value}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watch = Watch(psutil.Process(process.pid))
        sampler = threading.Thread(target=watch.sample)
        sampler.start()
        assert process.stdout is not None
        output = []
        for line in process.stdout:
            output.append(line)
            if stage := stage_ended(line):
                watch.end_stage(stage)
        process.wait()
        sampler.join()
    if process.returncode:
        raise RuntimeError(f"al-bench ended with status {process.returncode}:\n{''.join(output[-30:])}")
    watch.end_stage(AFTER)
    return watch


def run_all(work: Path, sizes: Sequence[int], shape: Sequence[int]) -> Iterator[tuple[str, int, Watch, float]]:
    """Watch every study on data sets of all sizes; the last number is the disk that the study took, bytes."""
    volumes = work / "volumes"
    for part in ("imagesTr", "labelsTr"):
        (volumes / part).mkdir(parents=True)
    n_made = 0
    for n_cases in sorted(sizes):
        started = time.perf_counter()
        for number in range(n_made, n_cases):
            make_volume(volumes, number, shape)
        print(f"{n_cases} volumes made in {time.perf_counter() - started:.0f} s", flush=True)
        n_made = n_cases
        data = work / f"large-{n_cases}"
        make_dataset(data, volumes, n_cases)
        for title, (strategies, settings) in STUDIES.items():
            out = work / "out"
            watch = watch_study(data, out, work / "cache", strategies, settings)
            disk = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and not path.is_symlink())
            shutil.rmtree(out)
            yield title, n_cases, watch, disk


def mib(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:,.0f}"


def table(title: str, watches: dict[int, tuple[Watch, float]]) -> list[str]:
    """Rows of one study: a stage a row, a number of volumes a column."""
    lines = [f"## {title}", "", f"| stage | {' | '.join(f'{n} volumes' for n in watches)} |"]
    lines.append(f"| --- |{' ---: |' * len(watches)}")
    stages = [BEFORE, *STAGES.values(), AFTER]
    for stage in stages:
        cells = [
            f"{mib(watch.peaks[stage][0])} / {mib(watch.peaks[stage][1])}" if stage in watch.peaks else ""
            for watch, _ in watches.values()
        ]
        if any(cells):
            lines.append(f"| {stage} | {' | '.join(cells)} |")
    highest = [np.max(list(watch.peaks.values()), axis=0) for watch, _ in watches.values()]
    lines.append(f"| **all** | {' | '.join(f'**{mib(peak[0])} / {mib(peak[1])}**' for peak in highest)} |")
    lines.append(f"| disk | {' | '.join(mib(disk) for _, disk in watches.values())} |")
    return [*lines, ""]


def write(path: Path, found: dict[str, dict[int, tuple[Watch, float]]], shape: Sequence[int]) -> None:
    """Write all tables; done after every study, so that an interrupted run leaves what it has."""
    z, y, x = shape
    lines = [
        "# Memory on data sets of large volumes",
        "",
        f"Written by `python benchmarks/large.py`. {hardware()}. Volumes of {x} x {y} x {z} voxels, as int16 "
        f"{mib(2 * z * y * x)} MiB each; a tenth of them is held out for testing, all others form the pool.",
        "",
        "Peak memory in MiB of all processes of `al-bench run` (their proportional set sizes added up, ten times a "
        "second): without pages of files / with them. Pages of files (programs, preprocessed volumes, mapped arrays) "
        "are given up by the system when memory is short. Disk: MiB of the results folder, with what was preprocessed.",
        "",
        "Of what is held for each unit or voxel, `usim-f`'s gradients are by far the largest: 10,000 float32 a slice, "
        "4 MB a volume, in memory up to 1 GiB and in a file beyond. Images and labels that a training reads are held "
        "up to 1 GiB as well.",
        "",
    ]
    for title, watches in found.items():
        lines += table(title, watches)
    path.write_text("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,30,90", help="numbers of volumes")
    parser.add_argument("--shape", default="100,512,512", help="voxels along z, y, x")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "large.md")
    arguments = parser.parse_args()
    shape = [int(n) for n in arguments.shape.split(",")]
    found: dict[str, dict[int, tuple[Watch, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="albench-large-", dir=scratch_folder()) as work:
        for title, n_cases, watch, disk in run_all(Path(work), [int(n) for n in arguments.sizes.split(",")], shape):
            found.setdefault(title, {})[n_cases] = (watch, disk)
            print("\n".join(table(title, found[title])), flush=True)
            write(arguments.out, found, shape)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
