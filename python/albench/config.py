"""Settings of a study: protocols as validated data, and what the command line adds to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from albench.errors import InputError, unknown_name

Share = Annotated[float, Field(gt=0, lt=1)]
StartMethod = Literal["random", "k-centre", "typical", "labelled"]
START_METHODS: tuple[str, ...] = get_args(StartMethod)
SplitBy = Literal["fixed", "seed"]
SPLITS: tuple[str, ...] = get_args(SplitBy)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PoolSettings(_Settings):
    """Which cases form the pool and which are held out.

    Attributes
    ----------
    max_cases
        Cases in the pool, drawn by seed; None takes all that are not held out.
    test_share, max_test_cases
        Share of the cases held out for testing, and an upper bound on their number.
    split_by
        ``fixed``: every seed is tested on the same cases. ``seed``: on others, so that their choice is part of what
        varies between seeds.
    test_folds
        Number k of folds that the cases are shared out among, one of which is held out instead of `test_share`: fold
        0, or with ``split_by: seed`` the seed modulo k. None: no folds.
    group_by
        Which cases belong together, as scans of one patient do: never one in the pool and another tested on, nor in
        two folds. ``auto``: as the data set says, or names that are known to name a patient; ``none``: each case by
        itself; else a regular expression with one group that finds the patient in a case's name.
    start
        Units annotated before the first training.
    start_method
        How they are chosen: uniformly, or by what the images look like (`albench.coldstart`); or all units that are
        labelled, whatever `start` says, of data whose labels are partial.
    patch_size
        Voxels along (z, y, x) of the original grid that a 3D patch has at most; None: a third of the median shape.
        For 3d_fullres alone: with 2d, units are slices.
    max_per_case
        Units of one case that a query may hold; None: any number.
    """

    max_cases: PositiveInt | None
    test_share: Share
    max_test_cases: PositiveInt | None
    split_by: SplitBy = "fixed"
    test_folds: Annotated[int, Field(ge=2)] | None = None
    group_by: str = "auto"
    start: PositiveInt
    start_method: StartMethod = "random"
    patch_size: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    max_per_case: PositiveInt | None = None


class NetworkSettings(_Settings):
    """Departures from nnU-Net's own plans; None keeps what nnU-Net plans.

    Attributes
    ----------
    configuration
        ``2d``: units are slices; ``3d_fullres``: units are 3D patches.
    base_features
        Channels of the first stage; they double with every stage.
    max_stages
        Upper bound on the resolution stages.
    max_edge
        Voxels: the median slice (with 3d_fullres the median volume) is resampled to a larger spacing until no edge is
        longer.
    dropout
        Rate of the dropout layers in training.
    """

    configuration: Literal["2d", "3d_fullres"]
    base_features: PositiveInt
    max_stages: Annotated[int, Field(ge=2)] | None
    batch_size: Annotated[int, Field(ge=2)] | None
    max_edge: Annotated[int, Field(ge=16)] | None
    dropout: Annotated[float, Field(ge=0, lt=1)]


class TrainingSettings(_Settings):
    """How long and how to train.

    Attributes
    ----------
    first_iterations, round_iterations
        Batches in the first and in each later training.
    warm_start
        Start a round from the last round's weights instead of fresh ones.
    momentum
        Nesterov momentum; its horizon of 1 / (1 - momentum) batches has to be short against a training.
    mirroring
        Whether images are mirrored at random, as nnU-Net does. Short trainings then confuse classes that differ
        by their side only, as left and right parotid.
    oversample_foreground
        Share of a batch that is centred on a foreground voxel.
    folds
        1: one model learns from every annotated unit. k: k models, each from the units of the cases outside its fold;
        together they predict.
    compile
        Whether torch.compile optimises the network for training; ``auto``: on a GPU, in trainings of 5,000 iterations
        and more, since compiling takes a minute or so each time. Never on the processor.
    """

    first_iterations: PositiveInt
    round_iterations: PositiveInt
    initial_lr: PositiveFloat
    momentum: Annotated[float, Field(ge=0, lt=1)]
    mirroring: bool
    warm_start: bool
    oversample_foreground: Annotated[float, Field(ge=0, le=1)]
    folds: PositiveInt = 1
    compile: Literal["auto", "on", "off"] = "auto"


class ScoringSettings(_Settings):
    """What uncertainty over the pool is measured with.

    Attributes
    ----------
    source
        ``dropout``: stochastic forward passes of the (first fold's) model; ``ensemble``: the models of all folds.
    passes, dropout
        Number of stochastic passes, and the rate of the dropout layers in them.
    batch_size
        Slices or 3D patches of the network's size in one forward pass.
    precision
        Number format of the stochastic passes and of USIM-F's gradients; ``auto`` is bfloat16 on processors that
        multiply it natively. It moves the scores by far less than another draw of dropout masks does; how many of the
        chosen units stay the same is in benchmarks/results/scoring.md.
    """

    passes: Annotated[int, Field(ge=2)]
    dropout: Share
    batch_size: PositiveInt
    precision: Literal["auto", "float32", "bfloat16"]
    source: Literal["dropout", "ensemble"] = "dropout"


class EvaluationSettings(_Settings):
    """How test cases are predicted and measured.

    Attributes
    ----------
    mirroring
        Whether logits are averaged over images mirrored along the axes that training mirrors, as nnU-Net does.
    surface_metrics
        Whether NSD and HD95 are computed besides Dice.
    tolerance_mm
        Of the NSD; None takes the data set's own, and where it has none there is no NSD.
    """

    mirroring: bool = False
    surface_metrics: bool = True
    tolerance_mm: PositiveFloat | None = None


class CostSettings(_Settings):
    """What annotating a slice takes, in seconds: a fixed part, one per foreground voxel and one per border voxel.

    The defaults are an order of magnitude, not a measurement. They put an abdominal organ that a CT shows in 60 slices
    (outlines of about 300 voxels around 7,000) at half an hour, the lower end of the 30 to 60 minutes that Qu et al.
    (AbdomenAtlas, NeurIPS 2023) give for one organ of one volume: 10 s to open a slice and look, 0.05 s for a voxel of
    outline (20 voxels a second), and little for what lies inside, which tools fill.

    Attributes
    ----------
    slice_s
        A slice, empty or not. A 3D patch has as many as along its shortest edge.
    foreground_voxel_s, border_voxel_s
        A foreground voxel, and one that has a neighbour of another label.
    """

    slice_s: NonNegativeFloat = 10.0
    foreground_voxel_s: NonNegativeFloat = 0.0005
    border_voxel_s: NonNegativeFloat = 0.05


class Protocol(_Settings):
    """One way to run a study.

    Attributes
    ----------
    cpu_threads
        Threads of one chain where it runs on the CPU. Sums are split by thread, so another number may change
        the last bits of a result.
    budget
        Units annotated in each of the `rounds` - 1 queries.
    rounds
        Trainings of a chain, the one on the starting set included.
    """

    name: str
    cpu_threads: PositiveInt
    pool: PoolSettings
    budget: PositiveInt
    rounds: PositiveInt
    network: NetworkSettings
    training: TrainingSettings
    scoring: ScoringSettings
    evaluation: EvaluationSettings = EvaluationSettings()
    annotation_cost: CostSettings = CostSettings()

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Protocol:
        if self.pool.patch_size is not None and self.network.configuration == "2d":
            raise ValueError("pool.patch_size: expected null with network.configuration 2d, whose units are slices")
        if self.scoring.source == "ensemble" and self.training.folds < 2:
            raise ValueError("scoring.source: expected training.folds of at least 2 for an ensemble, got 1")
        if self.evaluation.mirroring and not self.training.mirroring:
            raise ValueError("evaluation.mirroring: expected training.mirroring true as well, got false")
        return self

    def iterations_before(self, number: int) -> int:
        """Count the iterations of a chain before its round `number`."""
        training = self.training
        return training.first_iterations + (number - 1) * training.round_iterations if number else 0

    @property
    def chain_iterations(self) -> int:
        """Iterations of all trainings of one chain: what the ceiling `full` gets in one go."""
        return self.iterations_before(self.rounds)


class StudyConfig(_Settings):
    """Everything that decides what a study computes; written to OUT/config.json.

    The number of seeds and the list of strategies are not settings of a result but a choice of which results
    to have, so a finished study can be extended by more of either. Paths and the device count are left out:
    a study may move.

    Attributes
    ----------
    groups
        Digest of which cases belong together; None where none do.
    """

    dataset: str
    dataset_checksum: str
    groups: str | None = None
    trainer: Literal["nnunet", "fake"]
    device: Literal["cpu", "cuda"]
    protocol: Protocol

    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON form."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def protocol_names() -> list[str]:
    """Names of the packaged protocols."""
    files = resources.files("albench.protocols").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def dataset_settings(dataset: str) -> dict[str, dict[str, Any]]:
    """Return the settings that a data set has of its own in the packaged protocols, by protocol."""
    sections = {name: (_protocol_values(name).get("datasets") or {}).get(dataset) for name in protocol_names()}
    return {name: section for name, section in sections.items() if section}


def load_protocol(
    name: str,
    settings: Sequence[str] = (),
    *,
    dataset: str | None = None,
    start_method: str | None = None,
    split_by: str | None = None,
    group_by: str | None = None,
    **overrides: Any,
) -> Protocol:
    """Load a protocol.

    Parameters
    ----------
    name
        One of `protocol_names()`, or the path of a YAML file of the same form.
    settings
        Single settings to replace, each ``path=value`` with the path's parts joined by dots and the value in YAML,
        e.g. ``training.first_iterations=100``.
    dataset
        Data set whose entry under ``datasets``, if there is one, replaces settings of the protocol.
    start_method, split_by, group_by
        Replace settings of ``pool``; None keeps the protocol's.
    **overrides
        Top-level settings to replace; None keeps the protocol's value.

    Raises
    ------
    InputError
        For an unknown name, an unreadable file, or a value that the setting does not accept.
    """
    values = _protocol_values(name)
    for_dataset = (values.pop("datasets", None) or {}).get(dataset, {})
    values = _merged(values, for_dataset) | {key: value for key, value in overrides.items() if value is not None}
    for what, given, known in (("start method", start_method, START_METHODS), ("split", split_by, SPLITS)):
        if given is not None and given not in known:
            raise unknown_name(what, given, known)
    of_pool = {"start_method": start_method, "split_by": split_by, "group_by": group_by}
    if isinstance(values.get("pool"), dict):
        values["pool"] = values["pool"] | {key: value for key, value in of_pool.items() if value is not None}
    if settings:
        values = _validated(name, values).model_dump()  # with the settings that the file leaves out
        for setting in settings:
            _replace_setting(values, setting)
    return _validated(name, values)


def _validated(name: str, values: dict[str, Any]) -> Protocol:
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise InputError(f"protocol '{name}', setting {first['msg'].removeprefix('Value error, ')}") from None
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"protocol '{name}', setting {where}: {first['msg']}; got {first['input']!r}") from None


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with the leaves of `changes` in their place."""
    merged = dict(values)
    for key, change in changes.items():
        old = merged.get(key)
        merged[key] = _merged(old, change) if isinstance(old, dict) and isinstance(change, dict) else change
    return merged


def _replace_setting(values: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    *parents, last = path.split(".")
    inner: Any = values
    for parent in parents:
        inner = inner.get(parent) if isinstance(inner, dict) else None
    if not equals or not isinstance(inner, dict):
        raise InputError(f"--set {setting}: expected setting=value, e.g. training.first_iterations=100")
    if last not in inner:
        raise unknown_name("setting", path, [".".join((*parents, key)) for key in inner])
    try:
        inner[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"--set {setting}: expected a value, found {text!r}") from None


def _protocol_values(name: str) -> dict[str, Any]:
    file = Path(name)
    if file.suffix in (".yaml", ".yml"):
        if not file.is_file():
            raise InputError(f"--protocol {name}: expected a YAML file, found none")
        text = file.read_text(encoding="utf-8")
    elif name in protocol_names():
        text = (resources.files("albench.protocols") / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise unknown_name("protocol", name, protocol_names())
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--protocol {name}: expected YAML, found {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"--protocol {name}: expected settings by name, found {type(values).__name__}")
    return values


def difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines ``path: old -> new`` for every leaf in which two nested dictionaries differ."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        left, right = old.get(key), new.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            lines += difference(left, right, f"{prefix}{key}.")
        elif left != right:
            lines.append(f"{prefix}{key}: {left!r} -> {right!r}")
    return lines
