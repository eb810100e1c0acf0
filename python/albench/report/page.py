"""The HTML page: everything it shows, put together for the template."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from albench.report import provenance
from albench.report.cells import Cells, study_title, summary_cells, timing_cells
from albench.report.chart import chart_data
from albench.report.coverage import Annotated, annotated_units, chosen_units
from albench.report.differences import Gain, describe, differences_figure
from albench.report.doubts import doubts, trusted_geometry
from albench.report.figures import NARROW, WIDE, Panel, as_svg, curves_figure, units_figure
from albench.report.findings import findings
from albench.report.galleries import galleries
from albench.report.inputs import PLURALS, Inputs, unit_word
from albench.report.matrix import Square, matrix
from albench.report.palette import label, oracle_aided, order, style, swatch_path
from albench.report.registered import Asked
from albench.report.statistics import StatisticsSection
from albench.report.texts import NONE, number_text
from albench.results.layout import CEILING
from albench.results.tables import REFERENCE, STUDY_KEYS, rows_of
from albench.stats.crossed import MIN_SEEDS
from albench.stats.pairs import pairs_of


@dataclass(frozen=True)
class Picture:
    """A figure twice, for wide and narrow screens, as data URLs."""

    wide: str
    narrow: str
    alt: str


@dataclass(frozen=True)
class Study:
    """One data set under one protocol, as the page shows it."""

    anchor: str
    title: str
    phantom: bool
    doubts: list[str]
    findings: list[str]
    curves: Picture
    differences: Picture | None
    chart: dict[str, Any]
    versus: tuple[list[str], list[list[Square | None]]]
    tested: bool
    units_word: str
    n_seeds: int
    unpaired: int
    strategies: list[str]
    summary: Cells
    timing_strategies: list[str]
    timing: Cells


@dataclass(frozen=True)
class AnnotatedUnits:
    """What was annotated in one study."""

    title: str
    picture: Picture | None
    unit: str
    units_word: str
    coverage: list[dict[str, object]]
    batches: list[list[str]]
    class_names: list[str]
    classes: list[tuple[str, list[str]]]
    units: list[tuple[str, list[Annotated]]]


@dataclass(frozen=True)
class Tables:
    """The tables a page is made from, as the functions of the same names return them."""

    summary: pd.DataFrame
    pairs: pd.DataFrame
    timing: pd.DataFrame
    coverage: pd.DataFrame
    classes: pd.DataFrame
    batches: pd.DataFrame
    gains: dict[tuple[str, str], list[Gain]]


def render(
    inputs: Inputs,
    panels: list[Panel],
    tables: Tables,
    statistics: StatisticsSection,
    asked: Asked | None,
    beside: Sequence[str],
) -> str:
    """Return the page as one self-contained HTML document; `beside` are files it links to."""
    summary = tables.summary
    groups = summary.groupby(STUDY_KEYS, sort=True)
    pictures, left_out = galleries(inputs)
    trusted = {(config.dataset, config.protocol): config.settings.get("trusted_geometry") for config in inputs.configs}
    studies = [
        _study(
            f"study-{number}",
            (str(study[0]), str(study[1])),
            part,
            panel,
            tables,
            study[0] in inputs.phantoms,
            [*doubts(rows_of(inputs.results, study)), *trusted_geometry(trusted.get((str(study[0]), str(study[1]))))],
        )
        for number, ((study, part), panel) in enumerate(zip(groups, panels, strict=True), start=1)
    ]
    environment = Environment(
        loader=PackageLoader("albench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "color": lambda name: style(name).color,
        "swatch": swatch_path,
        "label": label,
        "data_url": _data_url,
    }
    datasets = list(dict.fromkeys(summary["dataset"]))
    return environment.get_template("index.html.j2").render(
        version=version("al-bench"),
        datasets=datasets,
        phantoms=[name for name in datasets if name in inputs.phantoms],
        started=inputs.runs["started_at"].min()[:10] if len(inputs.runs) else "",
        seeds_of_all=sorted(set(summary["n_seeds"])),
        oracle_aided=[name for name in order(list(summary["strategy"])) if oracle_aided(name)],
        studies=studies,
        statistics=statistics,
        asked=asked,
        selections=_selections(inputs.queries, tables),
        galleries=pictures,
        left_out=left_out,
        conflicts=inputs.conflicts,
        beside=beside,
        unit=unit_word(inputs.queries),
        units_word=PLURALS[unit_word(inputs.queries)],
        commands=provenance.commands(inputs),
        facts=provenance.facts(inputs.runs) if len(inputs.runs) else [],
        configs=[
            (study_title(config.dataset, config.protocol), provenance.flatten(config.settings))
            for config in inputs.configs
        ],
        reference=REFERENCE,
        min_seeds=MIN_SEEDS,
        ceiling=CEILING,
    )


def _study(
    anchor: str,
    study: tuple[str, str],
    part: pd.DataFrame,
    panel: Panel,
    tables: Tables,
    phantom: bool,
    warnings: list[str],
) -> Study:
    # the section's heading is the title
    untitled = replace(panel, title="")
    of_study = rows_of(tables.timing, study)
    versus = matrix(pairs_of(rows_of(tables.pairs, study)))
    return Study(
        anchor=anchor,
        title=study_title(*study),
        phantom=phantom,
        doubts=warnings,
        findings=findings(part, panel.n_pool_units, PLURALS[panel.unit]),
        curves=Picture(
            _data_url(as_svg(curves_figure([untitled], WIDE))),
            _data_url(as_svg(curves_figure([untitled], NARROW))),
            _describe(panel),
        ),
        differences=_differences(study_title(*study), tables.gains[study]),
        chart=chart_data(panel),
        versus=versus,
        tested=any(square.p for row in versus[1] for square in row if square),
        units_word=PLURALS[panel.unit],
        n_seeds=int(part["n_seeds"].max()),
        unpaired=int(part["diff_unpaired"].fillna(0).sum()),
        strategies=list(part["strategy"]),
        summary=summary_cells(part),
        timing_strategies=list(of_study["strategy"]),
        timing=timing_cells(of_study),
    )


def _differences(title: str, gains: list[Gain]) -> Picture | None:
    if not gains:
        return None
    wide, narrow = (as_svg(differences_figure([("", gains)], layout)) for layout in (WIDE, NARROW))
    return Picture(_data_url(wide), _data_url(narrow), describe(title, gains))


def _describe(panel: Panel) -> str:
    """Text for those who cannot see the curves: where each starts and ends."""
    mean = panel.curves.groupby(["strategy", "round"])["dice"].mean().reset_index()
    parts = []
    for name in order(list(mean["strategy"])):
        own = mean[mean["strategy"] == name]
        first, last = own["dice"].iloc[0], own["dice"].iloc[-1]
        parts.append(f"{name} {last:.3f}" if name == CEILING else f"{name} from {first:.3f} to {last:.3f}")
    return (
        f"Curves of mean foreground Dice against annotated {PLURALS[panel.unit]}, {panel.title}, first to last round: "
        f"{'; '.join(parts)}. The table below holds every value."
    )


def _selections(queries: pd.DataFrame, tables: Tables) -> list[AnnotatedUnits]:
    selections = []
    for study, own in queries.groupby(STUDY_KEYS):
        key = (str(study[0]), str(study[1]))
        title = study_title(*key)
        chosen, unit = chosen_units(own), unit_word(own)
        picture, plural = None, PLURALS[unit]
        if len(chosen):
            alt = (
                f"Heat map for {title}, one row per strategy: which {plural} are annotated."
                if unit == "image"
                else f"Two heat maps for {title}, one row per strategy. Left: annotated {plural} of each case. "
                f"Right: share of the annotated {plural} by {unit} position."
            )
            wide, narrow = (as_svg(units_figure(chosen, layout)) for layout in (WIDE, NARROW))
            picture = Picture(_data_url(wide), _data_url(narrow), alt)
        rows = rows_of(tables.coverage, key).to_dict(orient="records")
        by_strategy = itertools.groupby(annotated_units(own), key=lambda units: units.strategy)
        units = [(name, list(of_seeds)) for name, of_seeds in by_strategy]
        records = [{str(key): value for key, value in row.items()} for row in rows]
        names, cells = _class_cells(rows_of(tables.classes, key), plural)
        batches = _batch_texts(rows_of(tables.batches, key))
        selections.append(AnnotatedUnits(title, picture, unit, plural, records, batches, names, cells, units))
    return selections


def _batch_texts(batches: pd.DataFrame) -> list[list[str]]:
    """Return a row for each query: strategy, round, foreground times the pool's, empty units and the pool's, in %."""
    return [
        [
            str(row["strategy"]),
            str(row["round"]),
            f"{100 * row['fg_share']:.1f} [{100 * row['pool_fg_share']:.1f}]",
            number_text(row["fg_ratio"], 2),
            f"{100 * row['empty_share']:.0f} [{100 * row['pool_empty_share']:.0f}]",
        ]
        for _, row in batches.iterrows()
    ]


def _class_cells(classes: pd.DataFrame, units: str) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Names of the classes, and per strategy a text for each: share of its voxels, and units that hold it."""
    names = classes.drop_duplicates("label")
    cells = []
    for strategy, own in classes.groupby("strategy", sort=False):
        by_label = own.set_index("label")
        texts = []
        for number in names["label"]:
            shares = by_label["pool_share"].dropna()
            known = number in shares.index
            texts.append(f"{100 * shares[number]:.1f} [{by_label.loc[number, 'units']:.0f} {units}]" if known else NONE)
        cells.append((str(strategy), texts))
    return list(map(str, names["label_name"])), cells


def _data_url(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
