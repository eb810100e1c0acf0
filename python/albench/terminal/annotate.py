"""The command ``al-bench annotate``."""

from __future__ import annotations

import contextlib
import html
import math
import tempfile
import webbrowser
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from albench.errors import InputError

if TYPE_CHECKING:
    from albench.annotate.server import Opened

_NEEDED = ("starlette", "uvicorn", "python_multipart")


def annotate(
    query: Annotated[Path, typer.Argument(metavar="QUERY_DIR", help="Folder of the query.")],
    host: Annotated[str, typer.Option(help="Address to listen on; others than 127.0.0.1 let others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
    annotators: Annotated[str | None, typer.Option(metavar="A,B", help="Who shares the units, whole cases.")] = None,
    overlap: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Units that a second annotator does as well.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the one annotator; default: login name.")] = None,
    reviewer: Annotated[str | None, typer.Option(metavar="NAME", help="Who accepts, or sends back.")] = None,
    public_url: Annotated[
        str | None, typer.Option("--public-url", metavar="URL", help="Address of a reverse proxy before the server.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
    idle_seconds: Annotated[float, typer.Option(help="Without input, after which time is no work.")] = 30.0,
) -> None:
    """Serve the page on which annotators draw what a query asks; Ctrl-C ends it."""
    missing = [each.replace("_", "-") for each in _NEEDED if find_spec(each) is None]
    if missing:
        raise InputError(f"annotate: expected {', '.join(missing)}, found none: pip install 'al-bench[annotate]'")
    if not (math.isfinite(idle_seconds) and 1 <= idle_seconds <= 3600):
        raise InputError(f"--idle-seconds: expected 1 to 3600, got {idle_seconds}")
    people = tuple(part.strip() for part in annotators.split(",")) if annotators is not None else ()

    from albench.annotate.server import ServeRequest, serve

    browser = contextlib.ExitStack()

    def opened(server: Opened) -> None:
        _print_links(server)
        if not no_browser and server.is_private:
            browser.enter_context(_in_browser(server.link(server.people.everybody[0]), query))

    request = ServeRequest(
        query=query,
        host=host,
        port=port,
        annotators=people,
        overlap=overlap,
        name=name,
        reviewer=reviewer,
        idle_seconds=idle_seconds,
        public_url=public_url,
    )
    with browser:
        serve(request, opened)
    typer.echo("stopped; all that the page showed as saved is in the query's folder")


@contextlib.contextmanager
def _in_browser(link: str, folder: Path) -> Iterator[None]:
    """Open a link by way of a file that only we can read: everybody sees the words that a program is started with."""
    from albench.machine.files import HALF_WRITTEN

    with tempfile.NamedTemporaryFile("w", prefix=HALF_WRITTEN, suffix=".html", dir=folder, encoding="utf-8") as page:
        page.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(link)}">')
        page.flush()
        webbrowser.open(Path(page.name).absolute().as_uri())
        yield


def _print_links(server: Opened) -> None:
    if not server.is_private:
        typer.echo(
            "open to the network: whoever has a link may read the images and write labels, and without TLS whoever "
            "listens on the way has it; put a reverse proxy before it (docs/annotate.md)",
            err=True,
        )
    for person in server.people.everybody:
        typer.echo(f"{person.name} ({person.role}): {server.link(person)}")
        if not person.is_reviewer:
            typer.echo(f"  for MONAI Label in 3D Slicer: {server.monai_link(person)}")
    typer.echo("Ctrl-C ends it")
