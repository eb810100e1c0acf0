"""What people write into dataset.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from albench.errors import InputError
from tests.support.raw_fixtures import image_of, label_of, load, make_raw


def rewrite(root: Path, **changes: Any) -> Path:
    content = json.loads((root / "dataset.json").read_text()) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    (root / "dataset.json").write_text(json.dumps(kept))
    return root


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no dot": ({"file_ending": "nii.gz"}, "\"file_ending\" with its dot, found 'nii.gz'"),
    "no ending": ({"file_ending": None}, '"file_ending" with its dot, found None'),
    "channels as list": ({"channel_names": ["MRI"]}, '"channel_names" as {"0": name, ...}, found [\'MRI\']'),
    "modality": ({"channel_names": None, "modality": {"0": "MRI"}}, '"channel_names" as {"0": name, ...}, found None'),
    "regions": ({"labels": {"background": 0, "whole": [1, 2], "core": [2]}}, "without regions"),
    "turned round": ({"labels": {"0": "background", "1": "ball"}}, "and not {value: name, ...} as in nnU-Net v1"),
    "texts": ({"labels": {"background": "0", "ball": "1"}}, "with whole numbers as values"),
    "ignore below": ({"labels": {"background": 0, "ball": 1, "ignore": -1}}, 'expected "ignore" to be the highest'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_forms_are_refused_by_name(name: str, tmp_path: Path) -> None:
    changes, said = REFUSED[name]
    with pytest.raises(InputError) as caught:
        load(rewrite(make_raw(tmp_path / "own"), **changes))
    assert str(caught.value).startswith(f"{tmp_path}/own/dataset.json: expected")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"numTraining": 99}, '"numTraining": 99, found 3 cases'),
        ({"numTraining": "3"}, "\"numTraining\": '3', found 3 cases"),
        ({"overwrite_image_reader_writer": "NibabelIOWithReorient"}, "NibabelIOWithReorient"),
    ],
)
def test_what_is_not_followed_is_noted(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    (note,) = load(rewrite(make_raw(tmp_path / "own"), **changes)).notes
    assert said in note


def test_an_image_without_label_is_noted(tmp_path: Path) -> None:
    root = rewrite(make_raw(tmp_path / "own"), numTraining=2)
    label_of(root, 1).unlink()
    dataset = load(root)
    assert dataset.case_names == ("c0", "c2")
    assert dataset.notes == ("1 file in imagesTr, first c1_0000.nii.gz, of no case with image and label: left out",)
    for path in (image_of(root, 2), label_of(root, 2)):
        path.rename(path.with_name(path.name.upper()))
    assert [note.split(",")[0] for note in load(root).notes[1:]] == ["2 files in imagesTr", "1 file in labelsTr"]


def test_a_label_without_image_is_named(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    image_of(root, 1).rename(root / "imagesTr" / "c1.nii.gz")
    with pytest.raises(
        InputError, match=r"labelsTr/c1\.nii\.gz: expected an image c1_0000.* found none; c1\.nii\.gz is"
    ):
        load(root)


def test_a_channel_that_is_missing_is_named(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", channel_names={"0": "T1", "1": "T2"})
    for number in range(3):
        target = root / "imagesTr" / f"c{number}_0002.nii.gz"
        target.write_bytes(image_of(root, number).read_bytes())
    with pytest.raises(InputError, match=r"c0_0002\.nii\.gz: expected channels numbered from 0000 on"):
        load(root)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", name="Herzkämmer")
    text = json.dumps(json.loads((root / "dataset.json").read_text()), ensure_ascii=False)
    (root / "dataset.json").write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match=r"dataset\.json: expected UTF-8"):
        load(root)


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    text = (root / "dataset.json").read_text()
    (root / "dataset.json").write_text(text[:-1] + ', "labels": {"background": 0, "cube": 1}}')
    with pytest.raises(InputError, match=r"dataset\.json: expected JSON, found: the key 'labels' twice"):
        load(root)


def test_a_mark_of_the_byte_order_and_line_ends_of_windows_are_taken(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    text = json.dumps(json.loads((root / "dataset.json").read_text()), indent=1).replace("\n", "\r\n")
    (root / "dataset.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load(root).case_names == ("c0", "c1", "c2")
