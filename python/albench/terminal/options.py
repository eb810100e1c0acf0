"""The options of a request on the command line, and a study file in their place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from albench.errors import InputError
from albench.study.request import RequestField, RunRequest, request_fields

Command = Callable[..., None]
_STUDY = Annotated[
    Path | None,
    typer.Argument(metavar="STUDY.YAML", help="File with the options by name; those given here override it."),
]


def takes_request(*, without: Sequence[str] = ()) -> Callable[[Command], Command]:
    """Make a command of a function whose first argument is a `RunRequest`.

    The command has an option for each field of the request but those in `without` and those that a study file alone
    can have, may take a study file, and has the function's other arguments as they are.
    """

    def decorate(function: Command) -> Command:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        fields = request_fields().items()
        options = [_parameter(field) for name, field in fields if name not in without and field.option.parse is None]
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter("context", keyword, annotation=typer.Context),
            inspect.Parameter("study", keyword, annotation=_STUDY, default=None),
            *options,
            *(parameter.replace(kind=keyword) for parameter in own),
        ]

        @functools.wraps(function)
        def command(context: typer.Context, study: Path | None, **values: Any) -> None:
            others = {parameter.name: values.pop(parameter.name) for parameter in own}
            function(_request(context, study, values), **others)

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def _parameter(field: RequestField) -> inspect.Parameter:
    option, kind, default = field.option, field.kind, field.default
    if option.several:
        kind, default = str, ",".join(default) if isinstance(default, tuple) else None
    elif kind is tuple:
        kind, default = list[str], None
    shown = typer.Option(field.flag, min=option.least, metavar=option.metavar, envvar=option.variable, help=option.help)
    annotation = Annotated[kind | None if default is None else kind, shown]  # type: ignore[valid-type]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _request(context: typer.Context, study: Path | None, values: dict[str, Any]) -> RunRequest:
    """Lay what was given over the study file, and that over the environment."""
    given: dict[str, dict[str, Any]] = {"ENVIRONMENT": {}, "COMMANDLINE": {}}
    for name, value in values.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name in given:
            given[source.name][name] = request_fields()[name].accept(value, f"--{name.replace('_', '-')}")
    written: dict[str, Any] = {}
    if study is not None:
        from albench.study.file import read_study  # imports torch

        written = read_study(study)
    merged = given["ENVIRONMENT"] | written | given["COMMANDLINE"]
    if "dataset" not in merged:
        raise InputError("Missing option '--dataset'.")
    return RunRequest(**merged)
