"""Where everything lies in a results folder: names and paths, nothing of the content.

::

    OUT/
      config.json  results.parquet  rounds.parquet  study.yaml  protocol.yaml  report/
      registered.json             what was asked before the run, see `albench.results.registered`
      tensorboard/<data set>/<strategy>/seed-<seed>/
      .claims/                    which of several processes works on what, see `albench.results.claims`
      set-aside/<what>-<number>/  what was there before, see `albench.machine.removal`
      <data set>/                 settings.json, which is config.json once more; study.yaml, protocol.yaml of its own
        _shared/seed-<seed>/      pool.parquet  start.json  descriptors.npy  prepared.json
          round-0/                model.pth  evaluation.parquet  scores/
        <strategy>/seed-<seed>/
          round-<number>/         query.json  gallery.npz  model.pth  evaluation.parquet

With folds, a round has ``model-0.pth`` and on. Beside what a stage wrote lies its record, ``<stage>.stage.json``; while
a training is not over, ``<stage>.unfinished`` has how far it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from albench.machine.names import plain_name
from albench.machine.removal import ASIDE

CONFIG_COPY = "settings.json"  # of another name, so that no folder of results folders is taken for one
CONFIG_FILE, RESULTS_FILE, ROUNDS_FILE = "config.json", "results.parquet", "rounds.parquet"
FORMER_NAMES = {ROUNDS_FILE: "runs.parquet"}
"""What al-bench 0.1 called a file, where that was another name."""

POOL, DESCRIPTORS, START, PREPARED = "pool.parquet", "descriptors.npy", "start.json", "prepared.json"
QUERY, GALLERY, EVALUATION, SCORES = "query.json", "gallery.npz", "evaluation.parquet", "scores"
REPORT, TENSORBOARD = "report", "tensorboard"
CLAIMS = ".claims"
STUDY_FILE = "study.yaml"
"""The request, so that it can be repeated: beside the tables the last one, in a data set's folder that of its study."""
PROTOCOL_FILE = "protocol.yaml"
"""Copy of a protocol of the user's own, which the request names."""
REGISTERED_FILE = "registered.json"

SHARED = "_shared"
"""Folder, in place of a strategy's, of what all strategies of a seed have in common."""

CEILING = "full"
"""The strategy that trains on every label of the pool; its one round per seed is the ceiling of the study."""

_CSV = [str(Path(name).with_suffix(".csv")) for name in (RESULTS_FILE, ROUNDS_FILE)]
RESERVED = {
    SHARED,
    REPORT,
    TENSORBOARD,
    ASIDE,
    STUDY_FILE,
    PROTOCOL_FILE,
    REGISTERED_FILE,
    CONFIG_FILE,
    RESULTS_FILE,
    ROUNDS_FILE,
    *_CSV,
}
"""Names that no data set can have, since something else has them in a results folder."""

_RECORD = ".stage.json"
_SEED, _ROUND = "seed-", "round-"
_TRAINING = re.compile(r"train(-\d+)?")


def train_stages(n_folds: int) -> dict[str, str]:
    """Stages of a round's training and the model file each leaves: one, or one a fold."""
    if n_folds == 1:
        return {"train": "model.pth"}
    return {f"train-{fold}": f"model-{fold}.pth" for fold in range(n_folds)}


def stage_record(folder: Path, name: str) -> Path:
    """Record of the stage `name` that writes into `folder`."""
    return folder / f"{name}{_RECORD}"


@dataclass(frozen=True)
class RunFolder:
    """Results folder of one or more studies: what ``--out`` names."""

    path: Path

    @property
    def config(self) -> Path:
        """Settings of the studies, see `albench.results.settings`."""
        return self.path / CONFIG_FILE

    @property
    def result_table(self) -> Path:
        """Table of a row per round, case and class."""
        return self.path / RESULTS_FILE

    @property
    def round_table(self) -> Path:
        """Table of a row per round."""
        return self.path / ROUNDS_FILE

    @property
    def registered(self) -> Path:
        """Claims that were made before the run, see `albench.results.registered`."""
        return self.path / REGISTERED_FILE

    @property
    def claims(self) -> Path:
        """Folder of claims, where several processes work on the studies."""
        return self.path / CLAIMS

    @property
    def report(self) -> Path:
        """Folder that a report goes to unless told otherwise."""
        return self.path / REPORT

    def study(self, dataset: str) -> StudyFolder:
        """Folder of one data set's study, there or not."""
        return StudyFolder(self, dataset)

    def datasets(self) -> list[str]:
        """Names of the data sets that anything was written of, ascending."""
        return [
            name
            for name in _subfolders(self.path)
            if name not in RESERVED
            and any(_numbers(self.path / name / chain, _SEED) for chain in _subfolders(self.path / name))
        ]

    def studies(self) -> Iterator[StudyFolder]:
        """Folders of `datasets`."""
        return map(self.study, self.datasets())

    def rounds(self) -> Iterator[RoundFolder]:
        """Every chain's rounds: by data set, strategy, seed and number; what chains share has no round here."""
        for study in self.studies():
            yield from study.rounds()


@dataclass(frozen=True)
class StudyFolder:
    """Folder of one data set's study.

    Raises
    ------
    InputError
        The data set's name cannot be a folder's.
    """

    run: RunFolder
    dataset: str

    def __post_init__(self) -> None:
        plain_name("data set", self.dataset, RESERVED)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.run.path / self.dataset

    @property
    def config(self) -> Path:
        """Copy of the settings of all studies."""
        return self.path / CONFIG_COPY

    @property
    def request(self) -> Path:
        """What was asked for, of this data set alone; results of earlier versions lack it."""
        return self.path / STUDY_FILE

    def seed(self, seed: int) -> SeedFolder:
        """Folder of what all chains of a seed share, there or not."""
        return SeedFolder(self, seed)

    def chain(self, strategy: str, seed: int) -> ChainFolder:
        """Folder of one strategy on one seed, there or not."""
        return ChainFolder(self, strategy, seed)

    def seeds(self) -> Iterator[SeedFolder]:
        """Seeds that anything is shared of, ascending."""
        return map(self.seed, _numbers(self.path / SHARED, _SEED))

    def chains(self) -> Iterator[ChainFolder]:
        """Chains that were begun, by strategy and seed."""
        for strategy in _subfolders(self.path):
            if strategy != SHARED:
                for seed in _numbers(self.path / strategy, _SEED):
                    yield self.chain(strategy, seed)

    def rounds(self) -> Iterator[RoundFolder]:
        """Every chain's rounds, by strategy, seed and number."""
        for chain in self.chains():
            yield from chain.rounds()

    def trained(self) -> Iterator[RoundFolder]:
        """Yield rounds with a training of their own: the shared start of each seed, then every chain's."""
        for folder in (*(seed.first_round for seed in self.seeds()), *self.rounds()):
            if folder.trainings():
                yield folder

    def has_finished_stage(self) -> bool:
        """Whether any stage of the study is finished."""
        return any(any(self.path.glob(f"*/{places}*{_RECORD}")) for places in (f"{_SEED}*/", f"{_SEED}*/{_ROUND}*/"))


@dataclass(frozen=True)
class SeedFolder:
    """What all chains of a seed share: the pool, what they start from, and the first model."""

    study: StudyFolder
    seed: int

    @property
    def path(self) -> Path:
        """The folder; the trainer of the seed works in it too."""
        return self.study.chain(SHARED, self.seed).path

    @property
    def pool(self) -> Path:
        """All units there are."""
        return self.path / POOL

    @property
    def descriptors(self) -> Path:
        """What units look like, where the start is chosen by it."""
        return self.path / DESCRIPTORS

    @property
    def start(self) -> Path:
        """Units that are annotated before the first training."""
        return self.path / START

    @property
    def prepared(self) -> Path:
        """Digests of the preprocessed cases and of all else that trainings read of them."""
        return self.path / PREPARED

    @property
    def first_round(self) -> RoundFolder:
        """Round 0, of all chains but the ceiling's."""
        return self.study.chain(SHARED, self.seed).round(0)


@dataclass(frozen=True)
class ChainFolder:
    """One strategy on one seed; `SHARED` stands for the start that all share.

    Raises
    ------
    InputError
        The strategy's name cannot be a folder's.
    """

    study: StudyFolder
    strategy: str
    seed: int

    def __post_init__(self) -> None:
        plain_name("strategy", self.strategy)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.study.path / self.strategy / f"{_SEED}{self.seed}"

    @property
    def events(self) -> Path:
        """Folder of the chain's event files for TensorBoard."""
        return self.study.run.path / TENSORBOARD / self.study.dataset / self.strategy / f"{_SEED}{self.seed}"

    @property
    def shared(self) -> SeedFolder:
        """What the chain shares with the others of its seed."""
        return self.study.seed(self.seed)

    def round(self, number: int) -> RoundFolder:
        """Folder of round `number`, there or not."""
        return RoundFolder(self, number)

    def rounds(self) -> Iterator[RoundFolder]:
        """Yield the rounds that were begun, ascending."""
        return map(self.round, _numbers(self.path, _ROUND))


@dataclass(frozen=True)
class RoundFolder:
    """One round of a chain: what it asked for, the model trained on that, and how good it is."""

    chain: ChainFolder
    number: int

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.chain.study.dataset

    @property
    def strategy(self) -> str:
        """Label of the strategy, or `SHARED`."""
        return self.chain.strategy

    @property
    def seed(self) -> int:
        """Seed of the chain."""
        return self.chain.seed

    @property
    def path(self) -> Path:
        """The folder."""
        return self.chain.path / f"{_ROUND}{self.number}"

    @property
    def query(self) -> Path:
        """Units annotated for this round, see `albench.results.query`."""
        return self.path / QUERY

    @property
    def gallery(self) -> Path:
        """Pictures of some of these units, see `albench.results.pictures`."""
        return self.path / GALLERY

    @property
    def evaluation(self) -> Path:
        """Table of a row per test case and class; in the folder `trained_in`."""
        return self.path / EVALUATION

    @property
    def scores(self) -> Path:
        """Folder of scores by this round's model that several chains ask for."""
        return self.path / SCORES

    @property
    def is_shared(self) -> bool:
        """Whether this round's model is that of every chain of the seed: in round 0, but never the ceiling's."""
        return self.number == 0 and self.strategy != CEILING

    @property
    def trained_in(self) -> RoundFolder:
        """The folder that has this round's model and evaluation: of the shared start, or this one."""
        return self.chain.shared.first_round if self.is_shared else self

    def models(self, n_folds: int) -> tuple[Path, ...]:
        """Models trained in this folder, one a fold."""
        return tuple(self.path / name for name in train_stages(n_folds).values())

    def stage(self, name: str) -> Path:
        """Record of a stage that writes into this folder."""
        return stage_record(self.path, name)

    def unfinished(self, name: str) -> Path:
        """How far a training stage is that is not over."""
        return self.path / f"{name}.unfinished"

    def trainings(self) -> list[str]:
        """Names of the finished training stages of this folder, whatever number of folds they are of."""
        stages = sorted(file.name.removesuffix(_RECORD) for file in self.path.glob(f"*{_RECORD}"))
        return [name for name in stages if _TRAINING.fullmatch(name)]


def _subfolders(path: Path) -> list[str]:
    """Names of the folders in `path`, ascending; none where it is no folder."""
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


def _numbers(path: Path, prefix: str) -> list[int]:
    """Numbers of the folders in `path` that are called `prefix` and a number, ascending."""
    numbers = [name.removeprefix(prefix) for name in _subfolders(path) if name.startswith(prefix)]
    return sorted(int(number) for number in numbers if re.fullmatch(r"0|[1-9][0-9]*", number))
