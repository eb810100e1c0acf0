from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from albench.errors import InputError
from albench.results.tables import mean_dice, mean_metric, read_results, read_rounds, renamed, write_table


def rows(dice: list[tuple[str, int, float]], **key: object) -> pd.DataFrame:
    """Result rows of one run from (case, label, dice)."""
    base = {"dataset": "d", "protocol": "quick", "strategy": "random", "seed": 0, "round": 0}
    base |= {"n_annotated_units": 40, "n_annotated_voxels": 4000, "n_annotated_fg_voxels": 400, **key}
    return pd.DataFrame(
        [
            {**base, "case": case, "label": label, "label_name": f"class {label}", "dice": value}
            for case, label, value in dice
        ]
    )


TABLE = [("a", 1, 0.5), ("a", 2, 0.8), ("b", 1, 0.7), ("b", 2, 0.6)]


def test_a_written_table_is_read_back_with_its_types_and_a_csv_beside_it(tmp_path: Path) -> None:
    written = rows([("a", 1, 0.25), ("b", 1, np.nan)], nsd=0.5)
    write_table(written, tmp_path / "results.parquet")

    table = read_results(tmp_path)

    assert table["seed"].dtype == "int64"
    assert table["dice"].dtype == "float64"
    assert list(table["dice"].isna()) == [False, True]
    assert list(table["nsd"]) == [0.5, 0.5], "columns of later metrics are kept"
    assert list(pd.read_csv(tmp_path / "results.csv")["case"]) == ["a", "b"]
    assert {file.name for file in tmp_path.iterdir()} == {"results.parquet", "results.csv"}


def test_a_failed_write_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "results.parquet"
    write_table(rows(TABLE), file)

    def full_disk(table: object, path: Path) -> None:
        path.write_bytes(b"half a table")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full_disk)
    with pytest.raises(InputError, match=r"results\.parquet: No space left on device"):
        write_table(rows(TABLE, seed=5), file)

    assert list(read_results(file)["seed"].unique()) == [0]
    assert {found.name for found in tmp_path.iterdir()} == {"results.parquet", "results.csv"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="dice"), r"results\.parquet: expected column 'dice', found dataset"),
        (lambda t: t.assign(dice="high"), "column 'dice': expected float64"),
        (lambda t: t.assign(seed=0.5), r"column 'seed': expected int64, found 0\.5"),
        (lambda t: t.assign(case=None), "column 'case': expected str, found an empty value"),
        (lambda t: pd.concat([t, t]), "expected one row per key, found two for dataset=d"),
    ],
    ids=["missing column", "text for a number", "fraction for a whole number", "empty key", "twice"],
)
def test_a_malformed_table_is_refused_on_writing_and_reading(tmp_path: Path, change, message: str) -> None:
    bad = change(rows(TABLE))
    file = tmp_path / "results.parquet"
    with pytest.raises(InputError, match=message):
        write_table(bad, file)
    assert not file.exists()

    bad.to_parquet(file)
    with pytest.raises(InputError, match=message):
        read_results(file)


def test_dice_outside_its_range_is_refused(tmp_path: Path) -> None:
    write_table(rows([("a", 1, 1.5)]), tmp_path / "results.parquet")
    with pytest.raises(InputError, match=r"column 'dice': expected 0 to 1 or NaN, found 1\.5"):
        read_results(tmp_path)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rounds\.parquet: expected a table .* no such file"):
        read_rounds(tmp_path / "rounds.parquet")
    with pytest.raises(InputError, match=r"expected a table"):
        read_rounds(tmp_path)
    (tmp_path / "rounds.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(InputError, match=r"rounds\.parquet: expected a Parquet table"):
        read_rounds(tmp_path)


def test_mean_dice_is_the_mean_over_classes_of_the_mean_over_cases() -> None:
    curve = mean_dice(rows(TABLE))
    assert len(curve) == 1
    # class 1: (0.5 + 0.7) / 2 = 0.6, class 2: (0.8 + 0.6) / 2 = 0.7
    assert curve["dice"].iloc[0] == pytest.approx(0.65)
    assert curve["n_annotated_units"].iloc[0] == 40


def test_mean_dice_leaves_out_nan_background_and_classes_never_seen() -> None:
    curve = mean_dice(
        rows(
            [
                ("a", 0, 1.0),
                ("a", 1, 0.2),
                ("b", 1, 0.4),
                ("a", 2, np.nan),
                ("b", 2, 0.9),
                ("a", 3, np.nan),
                ("b", 3, np.nan),
            ]
        )
    )
    # class 1: 0.3 (two cases), class 2: 0.9 (one), class 3: none. A pooled mean would be 0.5.
    assert curve["dice"].iloc[0] == pytest.approx(0.6)


def test_mean_dice_keeps_runs_apart() -> None:
    table = pd.concat([rows(TABLE), rows([("a", 1, 0.1)], seed=1), rows([("a", 1, 0.3)], round=1)])
    curve = mean_dice(table)
    assert list(zip(curve["seed"], curve["round"], curve["dice"].round(6), strict=True)) == [
        (0, 0, 0.65),
        (0, 1, 0.3),
        (1, 0, 0.1),
    ]


def test_tables_of_earlier_versions_are_read_without_the_later_columns(tmp_path: Path) -> None:
    old = rows(TABLE)
    assert not {"nsd", "hd95", "annotation_s"} & set(old)
    old.to_parquet(tmp_path / "results.parquet")
    table = read_results(tmp_path)
    later = ["nsd", "hd95", "annotation_s", "n_annotated_slices", "n_annotated_border_voxels"]
    assert table[later].isna().all(axis=None)
    assert list(table["dice"]) == [dice for *_, dice in TABLE]
    assert mean_metric(table, "hd95")["hd95"].isna().all()


@pytest.mark.parametrize(("column", "value"), [("nsd", 1.2), ("hd95", -1.0)])
def test_distances_outside_their_range_are_refused(tmp_path: Path, column: str, value: float) -> None:
    write_table(rows(TABLE, **{column: value}), tmp_path / "results.parquet")
    with pytest.raises(InputError, match=rf"column '{column}': expected .* or NaN, found {value}"):
        read_results(tmp_path)


def test_a_lost_prediction_is_an_error(tmp_path: Path) -> None:
    table = pd.concat([rows(TABLE), rows(TABLE[:3], seed=1)])
    write_table(table, tmp_path / "results.parquet")
    with pytest.raises(InputError, match=r"expected a row for case b, class 2 of .*seed=1, round=0, found none"):
        read_results(tmp_path)


def test_mean_metric_averages_any_metric_as_it_does_dice() -> None:
    table = rows(TABLE).assign(hd95=[2.0, 4.0, 3.0, np.nan], annotation_s=60.0)
    curve = mean_metric(table, "hd95")
    # class 1: (2 + 3) / 2, class 2: 4 of the one case that has it
    assert curve["hd95"].iloc[0] == pytest.approx(3.25)
    assert curve["annotation_s"].iloc[0] == 60


def test_columns_that_were_called_otherwise_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "results.parquet"
    rows(TABLE).rename(columns={"dice": "overlap"}).to_parquet(file)
    with pytest.raises(InputError, match=r"expected column 'dice', found .*overlap"):
        read_results(file)
    found = read_results(file, {"overlap": "dice", "never": "there"})
    assert "overlap" not in found
    assert sorted(found["dice"]) == [0.5, 0.6, 0.7, 0.8]


def test_a_column_that_is_there_under_both_names_keeps_the_new_one(tmp_path: Path) -> None:
    rows(TABLE).assign(overlap=0.0).to_parquet(tmp_path / "results.parquet")
    found = read_results(tmp_path, {"overlap": "dice"})
    assert sorted(found["dice"]) == [0.5, 0.6, 0.7, 0.8]
    assert set(found["overlap"]) == {0.0}
    assert renamed({"overlap": 1, "n": 2}, {"overlap": "dice"}) == {"dice": 1, "n": 2}
    assert renamed({"overlap": 1, "dice": 2}, {"overlap": "dice"}) == {"overlap": 1, "dice": 2}
