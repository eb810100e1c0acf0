"""What a cluster is asked for, ``cluster.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from albench.config import Text
from albench.errors import InputError, first_fault, unknown_name
from albench.machine.text import read_text
from albench.protocols.settings_text import LONGEST_YAML, parse_yaml

_TIME = r"^(\d{1,3}-\d{1,2}(:\d\d){0,2}|\d{1,4}(:\d\d){1,2})$"
_SIZE = r"^[1-9]\d{0,6} ?[MGT]i?B$"
_NEEDED = ("jobs", "memory", "walltime")
_SHAPES = {
    "walltime": 'expected a text in quotes such as "24:00:00" or "2-00:00:00"',
    "memory": "expected a size such as 16GB or 500MiB",
}


class ClusterSettings(BaseModel):
    """Where and with what joined processes run; a running Dask needs none of it.

    Attributes
    ----------
    jobs
        Joined processes, one each: jobs of Slurm, or workers of a running Dask at most; None there: all it has.
    queue, account, walltime, cpus, memory, gpus
        Of each job.
    chains_per_gpu
        Chains side by side on each GPU of a job.
    python
        Command that starts Python in a job, such as ``apptainer exec --nv X.sif python``; None: this Python.
    prologue
        Lines of the shell before that.
    directives
        More options of ``sbatch``, such as ``--requeue``.
    interface
        Network interface of head and jobs, such as ``ib0``.
    scratch
        Folder for large temporary files; variables are those of the job.
    claim_ttl
        As ``--claim-ttl``, which it replaces.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    jobs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    queue: Text | None = None
    account: Text | None = None
    walltime: Annotated[str, StringConstraints(pattern=_TIME)] | None = None
    cpus: Annotated[int, Field(ge=1, le=4096)] = 1
    memory: Annotated[str, StringConstraints(pattern=_SIZE)] | None = None
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    chains_per_gpu: Annotated[int, Field(ge=1, le=64)] = 1
    python: Text | None = None
    prologue: list[Text] = []
    directives: list[Text] = []
    interface: Text | None = None
    scratch: Text | None = None
    claim_ttl: Annotated[int, Field(ge=2)] | None = None

    @property
    def chains(self) -> int | None:
        """Chains side by side in a joined process on GPUs; None: not said."""
        return self.gpus * self.chains_per_gpu or None


def read_cluster(file: Path) -> ClusterSettings:
    """Read a cluster file.

    Raises
    ------
    InputError
        It cannot be read, has a key that there is not, or a value that the key cannot have; with the key.
    """
    values = parse_yaml(str(file), read_text(file, LONGEST_YAML, "cluster file"))
    if not isinstance(values, dict):
        raise InputError(f"{file}: expected settings by name, e.g. jobs: 4, got {values!r:.200}")
    for key in values:
        if key not in ClusterSettings.model_fields:
            raise InputError(f"{file}: {unknown_name('key', str(key), ClusterSettings.model_fields)}")
    try:
        return ClusterSettings.model_validate(values)
    except ValidationError as error:
        key, message, given = first_fault(error)
        raise InputError(f"{file}: {key}: {_SHAPES.get(key, message)}, got {given!r:.200}") from None


def require_job(file: Path | None, settings: ClusterSettings) -> None:
    """Refuse settings that leave out what no default fits on any cluster.

    Raises
    ------
    InputError
        With the keys that are missing.
    """
    if missing := [key for key in _NEEDED if getattr(settings, key) is None]:
        where = "--scheduler slurm: expected --cluster FILE with" if file is None else f"{file}: expected"
        raise InputError(f"{where} {', '.join(missing)} for jobs of Slurm")
