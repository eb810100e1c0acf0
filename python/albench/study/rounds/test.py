"""Testing the models of a round on the test cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from albench.machine.facts import peak_rss_mib
from albench.machine.tables import write_parquet
from albench.metrics.evaluate import evaluate, surface_settings
from albench.results.layout import EVALUATION
from albench.study.chain import Round
from albench.study.events import event_log
from albench.units.pool import Unit


def test(step: Round, labelled: Sequence[Unit], models: Sequence[Path]) -> None:
    """Evaluate `models`, which predict together, on the seed's test cases; `labelled` they were trained on."""
    chain = step.chain

    def compute() -> dict[str, Any]:
        cases, labels = chain.setup.split.test, chain.study.dataset.labels
        with step.task(f"evaluating {len(cases)} cases", len(cases)) as advance:
            model = chain.setup.trainer.load(*models)
            surfaces = surface_settings(chain.study.dataset, chain.protocol.evaluation)
            table = evaluate(model, cases, labels, advance, surfaces=surfaces)
        write_parquet(table, step.folder.evaluation)
        by_label = table.groupby(["label", "label_name"])["dice"].mean()
        dice = by_label.mean()
        with event_log(step.chain.event_folder) as log:
            for name, value in [*by_label.droplevel("label").items(), ("mean", dice)]:
                log(f"dice/{name}", value, len(labelled))
        step.say(f"{len(labelled)} units, mean foreground Dice {dice:.3f}")
        return {"peak_rss_mib": peak_rss_mib(), "warnings": model.warnings}

    step.stage("evaluate", [EVALUATION], models, compute)
