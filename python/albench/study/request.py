"""What a run is asked for: the one list of its options, for the command line, for study files and for Python."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from albench.errors import InputError


@dataclass(frozen=True)
class Option:
    """How people give one field of a request.

    Attributes
    ----------
    help
        For ``al-bench run --help``.
    flag
        On the command line; None: the field's name after two hyphens.
    metavar
        Stands for the value in the help; None: its type.
    variable
        Environment variable that replaces the default.
    least
        Smallest number allowed.
    several
        Whether a text holds several names, separated by commas.
    parse
        Makes the value of what a study file says, given a name for messages. Such a field is no option of the command
        line.
    """

    help: str
    flag: str | None = None
    metavar: str | None = None
    variable: str | None = None
    least: int | None = None
    several: bool = False
    parse: Callable[[Any, str], Any] | None = None


Texts = tuple[str, ...]
DATA_HELP = "Folder with the data sets; default: ALBENCH_DATA."
CACHE_HELP = "Downloads, unpacked data, phantoms; default: ALBENCH_CACHE or ~/.cache/al-bench."
CHECKPOINT_HELP = "Minutes between two times that a training is saved, from which it goes on when killed; 0: never."
TRUST_HELP = "Lay labels over their images whatever spacing, position or orientation their headers say."


def _claims(values: Any, called: str) -> Any:
    if isinstance(values, tuple) and not values:
        return values
    from albench.results.registered import parse_claims  # loads pandas, and few runs have claims

    return parse_claims(values, called)


@dataclass(frozen=True)
class RunRequest:
    """Options of ``al-bench run``, by the same names, and the keys of a study file; None stands for the default.

    Lists may be given as any iterable of texts, names also as one text with commas, and paths as texts.

    Raises
    ------
    InputError
        For a value of another type, a number that is too small, or no name where one is needed.

    Examples
    --------
    >>> request = RunRequest("phantom", strategy="random,usim-f", seeds=3, out="out/phantom")
    >>> request.strategy
    ('random', 'usim-f')
    >>> RunRequest("phantom", seeds=0)
    Traceback (most recent call last):
    albench_core.errors.InputError: seeds: expected a whole number from 1 up, got 0
    """

    dataset: Annotated[Texts, Option("Data set name or path; several separated by commas.", several=True)]
    strategy: Annotated[
        Texts, Option("Strategies, separated by commas; with parameters: usim-f+query=expected.", several=True)
    ] = ("random", "entropy", "usim-f", "full")
    protocol: Annotated[str, Option("quick (CPU), paper or nnactive (GPU), or a YAML file of your own.")] = "quick"
    seeds: Annotated[int, Option("Number of repetitions: seeds 0, 1, ... below it.", least=1)] = 1
    first_seed: Annotated[
        int, Option("Leave seeds below this one out: another machine has them, in a folder of its own.", least=0)
    ] = 0
    rounds: Annotated[int | None, Option("Trainings in a chain.", least=1)] = None
    budget: Annotated[int | None, Option("Units annotated in a round.", least=1)] = None
    set: Annotated[
        Texts, Option("Replace a protocol's setting, e.g. training.initial_lr=0.02.", metavar="SETTING=VALUE")
    ] = ()
    start: Annotated[
        str | None, Option("How the units annotated first are chosen: random, k-centre, typical or all-classes.")
    ] = None
    split_by: Annotated[str | None, Option("fixed: all seeds are tested on the same cases; seed: on others each.")] = (
        None
    )
    group_by: Annotated[
        str | None,
        Option(
            "Regular expression whose one group names the patient in a case's name; or auto, none.", metavar="PATTERN"
        ),
    ] = None
    trust_image_geometry: Annotated[bool, Option(TRUST_HELP)] = False
    device: Annotated[str, Option("auto, cpu or cuda.")] = "auto"
    data: Annotated[Path | None, Option(DATA_HELP)] = None
    out: Annotated[Path, Option("Results folder.", variable="ALBENCH_OUT")] = Path("out")
    cache: Annotated[Path | None, Option(CACHE_HELP)] = None
    jobs: Annotated[int | None, Option("Chains side by side; default: as the cores allow.", least=1)] = None
    join: Annotated[
        bool,
        Option("Work with all other processes, of any host, that were started so on this --out.", flag="--join"),
    ] = False
    claim_ttl: Annotated[
        int, Option("Seconds after which others take over from a process that is silent; with --join.", least=2)
    ] = 180
    checkpoint_minutes: Annotated[int, Option(CHECKPOINT_HELP, least=0)] = 10
    scheduler: Annotated[
        str | None,
        Option(
            "Address of a running Dask, whose workers do the work, or slurm: jobs as --cluster says do.",
            metavar="ADDRESS|slurm",
        ),
    ] = None
    cluster: Annotated[Path | None, Option("Jobs that --scheduler asks for: YAML.")] = None
    scratch: Annotated[
        Path | None, Option("Large temporary files, where work is done; default: TMPDIR, else in --out.")
    ] = None
    resume: Annotated[
        bool, Option("Continue what is in --out, or set it aside and start anew.", flag="--resume/--fresh")
    ] = True
    tensorboard: Annotated[bool, Option("Log losses and Dice to OUT/tensorboard while running.")] = False
    gallery: Annotated[int, Option("Units of each query to keep pictures of for the report.", least=0)] = 8
    claims: Annotated[tuple[Any, ...], Option("What is asked before the run, in a study file.", parse=_claims)] = ()

    def __post_init__(self) -> None:
        for name, field in request_fields().items():
            object.__setattr__(self, name, field.accept(getattr(self, name), name))
        if self.first_seed >= self.seeds:
            raise InputError(f"first_seed: expected a seed below seeds, which are {self.seeds}, got {self.first_seed}")

    @property
    def seed_range(self) -> range:
        """The seeds that are run."""
        return range(self.first_seed, self.seeds)


@dataclass(frozen=True)
class RequestField:
    """One field of a request.

    Attributes
    ----------
    kind
        Type of its values, None left aside: str, int, bool, Path or tuple.
    """

    name: str
    kind: type
    optional: bool
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """How the command line names it, e.g. ``--split-by``."""
        return self.option.flag or f"--{self.name.replace('_', '-')}"

    @property
    def expected(self) -> str:
        """What values there are, in words."""
        if self.option.several:
            return "one or more names separated by commas"
        words = {str: "a text", int: "a whole number", bool: "true or false", Path: "a path", tuple: "a list of texts"}
        least = "" if self.option.least is None else f" from {self.option.least} up"
        return words[self.kind] + least

    def accept(self, value: Any, called: str) -> Any:
        """Return `value` as the request holds it.

        Parameters
        ----------
        value
            As somebody gave it.
        called
            Name for the field in the message.

        Raises
        ------
        InputError
            If it is none.
        """
        accepted = value
        if value is None and self.optional:
            return None
        if self.option.parse is not None:
            return self.option.parse(value, called)
        if self.kind is Path and isinstance(value, str) and value:
            accepted = Path(value)
        elif self.kind is tuple:
            accepted = self._texts(value)
        fits = isinstance(accepted, self.kind) and (self.kind is bool or not isinstance(accepted, bool))
        least = self.option.least
        if not fits or (least is not None and accepted < least):
            raise InputError(f"{called}: expected {self.expected}, got {value!r}")
        return accepted

    def _texts(self, value: Any) -> Texts | None:
        """Split and strip names, each kept once; None where there are none or other things among them."""
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, Iterable) or isinstance(given, Mapping):
            return None
        texts = tuple(given)
        if not all(isinstance(text, str) for text in texts):
            return None
        if not self.option.several:
            return texts
        names = (name for text in texts for each in self._parts(text) if (name := each.strip()))
        return tuple(dict.fromkeys(names)) or None

    def _parts(self, text: str) -> list[str]:
        """Split at commas, but for a data set whose path has one."""
        return [text] if self.name == "dataset" and Path(text).expanduser().exists() else text.split(",")


@cache
def request_fields() -> dict[str, RequestField]:
    """Fields of `RunRequest` by name, in its order."""
    hints = typing.get_type_hints(RunRequest, include_extras=True)
    by_name = {}
    for field in fields(RunRequest):
        hint, option = typing.get_args(hints[field.name])
        kinds = typing.get_args(hint) if typing.get_origin(hint) is not tuple else ()
        kind = next((kind for kind in kinds if kind is not type(None)), typing.get_origin(hint) or hint)
        by_name[field.name] = RequestField(field.name, kind, type(None) in kinds, field.default, option)
    return by_name
