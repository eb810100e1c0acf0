"""Requests as MONAI Label's plug-in for 3D Slicer makes them, written down from reading its client.

It joins the path of the server's address and its own, sends no token in headers, JSON with its own ``client_id``, and
labels in a form with the file's name as it is in a temporary folder.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import SimpleITK

from tests.support.annotate_site import Served, serve_site
from tests.support.annotation_project import Project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, {"a": [2, 5], "b": [4]}, direction="oblique permuted", filling="none")


@pytest.fixture
def served(project: Project) -> Served:
    return serve_site(project.folder)


def _ask(served: Served, method: str, selector: str, **options: Any) -> httpx.Response:
    return served.client.request(method, f"/monai/{served.token('ann')}/{selector.lstrip('/')}", **options)


def _send(
    served: Served, image: str, path: Path, params: dict[str, Any] | None = None, name: str = "/tmp/tmpab12/x.nii.gz"
) -> httpx.Response:
    fields = {"params": json.dumps((params or {}) | {"client_id": "user-xyz"})}
    name = f"{name.removesuffix('.nii.gz')}{''.join(path.suffixes)}"
    files = {"label": (name, path.read_bytes(), "application/octet-stream")}
    return _ask(served, "PUT", f"/datastore/label?image={image}", data=fields, files=files)


def _segments(*names: str) -> dict[str, Any]:
    return {"label_info": [{"name": name, "idx": number} for number, name in enumerate(names, start=1)], "model": ""}


def _label(project: Project, voxels: np.ndarray, folder: Path, ending: str = ".nii.gz", case: str = "a") -> Path:
    image = SimpleITK.GetImageFromArray(voxels)
    image.CopyInformation(SimpleITK.ReadImage(str(project.image(case))))
    SimpleITK.WriteImage(image, str(folder / f"sent{ending}"), useCompression=True)
    return folder / f"sent{ending}"


def test_a_session_of_the_plug_in(project: Project, served: Served, tmp_path: Path) -> None:
    assert _ask(served, "GET", "/auth/").json() == {"enabled": False}
    info = _ask(served, "GET", "/info/").json()
    assert info["labels"] == ["organ", "tumour"]
    assert (info["models"], info["trainers"], info["datastore"]["total"]) == ({}, {}, 2)
    assert info["datastore"]["completed"] == 0
    (strategy,) = info["strategies"]
    assert _ask(served, "GET", "/train/?check_if_running=true").status_code == 404  # 200 says that one is running
    body = {"client_id": "user-xyz"}
    sample = _ask(served, "POST", f"/activelearning/{strategy}", json=body).json()
    assert (sample["id"], sample["name"]) == ("a", "a.nii.gz")
    assert "path" not in sample  # nobody is told where files are
    image = _ask(served, "GET", f"/datastore/image?image={sample['id']}")
    assert image.content == project.image("a").read_bytes()
    assert sample["checksum"] == f"SHA256:{hashlib.sha256(image.content).hexdigest()}"
    assert "a.nii.gz" in image.headers["content-disposition"]
    assert _ask(served, "HEAD", "/datastore/image?image=a").status_code == 200
    assert list(_ask(served, "GET", "/datastore/?output=all").json()["objects"]) == ["a", "b"]

    sent = _send(served, "a", _label(project, project.truth["a"], tmp_path), _segments("organ", "tumour"))
    assert sent.status_code == 200, sent.text
    assert sent.json() == {"image": "a", "label": "a", "taken": [1, 2], "left": []}
    _assert_drawn(project, served, {1, 2})
    assert _ask(served, "GET", "/info/").json()["datastore"]["completed"] == 1
    assert _ask(served, "POST", "/activelearning/random", json=body).json()["id"] == "b"


def _assert_drawn(project: Project, served: Served, ranks: set[int]) -> None:
    """The asked slices are the truth, and nothing of the file that was not asked is anywhere."""
    for unit in project.query.units:
        if unit.rank in ranks:
            drawing = served.site.work.read("ann", unit.rank)
            assert (drawing.status, drawing.by) == ("done", "ann")
            assert np.array_equal(drawing.labels.transpose(), project.truth[unit.case][project.box(unit)])


def test_segments_go_by_name_and_not_by_number(project: Project, served: Served, tmp_path: Path) -> None:
    swapped = np.array([0, 2, 1], dtype=np.uint8)[project.truth["a"]]
    sent = _send(served, "a", _label(project, swapped, tmp_path, ".nrrd"), _segments("tumour", "organ"))
    assert sent.json()["taken"] == [1, 2]
    _assert_drawn(project, served, {1, 2})


def test_without_segments_numbers_are_values(project: Project, served: Served, tmp_path: Path) -> None:
    assert _send(served, "a", _label(project, project.truth["a"], tmp_path)).json()["taken"] == [1, 2]
    _assert_drawn(project, served, {1, 2})


def test_what_is_empty_in_the_file_stays_open(project: Project, served: Served, tmp_path: Path) -> None:
    voxels = project.truth["a"].copy()
    voxels[5] = 0
    sent = _send(served, "a", _label(project, voxels, tmp_path), _segments("organ", "tumour")).json()
    first, second = sorted(project.query.units[:2], key=lambda unit: unit.index)
    assert (sent["taken"], sent["left"]) == ([first.rank], [second.rank])
    _assert_drawn(project, served, {first.rank})
    assert _ask(served, "POST", "/activelearning/al-bench", json={}).json()["id"] == "a"


def test_ignored_voxels_leave_a_unit_for_later(project: Project, served: Served, tmp_path: Path) -> None:
    voxels = project.truth["a"].copy()
    voxels[2, 0] = 3
    assert _send(served, "a", _label(project, voxels, tmp_path)).json()["taken"] == [1, 2]
    assert [served.site.work.read("ann", rank).status for rank in (1, 2)] == ["later", "done"]


@pytest.mark.parametrize("name", ["../../../etc/cron.d/x.nii.gz", "/etc/passwd.nii.gz", "x\x00.nii.gz", "a.exe", ""])
def test_names_of_sent_files_are_no_paths(project: Project, served: Served, tmp_path: Path, name: str) -> None:
    path = _label(project, project.truth["a"], tmp_path)
    before = {each for each in project.root.rglob("*") if "annotated" not in each.parts}
    files = {"label": (name, path.read_bytes(), "application/octet-stream")}
    answer = _ask(served, "PUT", "/datastore/label?image=a", data={"params": "{}"}, files=files)
    assert answer.status_code == (200 if name.endswith(".nii.gz") else 400), answer.text
    assert {each for each in project.root.rglob("*") if "annotated" not in each.parts} == before


def test_what_cannot_be_taken_is_refused_and_nothing_is_kept(project: Project, served: Served, tmp_path: Path) -> None:
    good = _label(project, project.truth["a"], tmp_path)
    whole = good.read_bytes()
    _assert_refused(_send(served, "nobody", good), 404)
    _assert_refused(_send(served, "../a", good), 404)
    _assert_refused(_send(served, "a", good, {"label_info": [3]}), 400)
    _assert_refused(_send(served, "a", good, _segments("organ", "liver")), 400)
    _assert_refused(_send(served, "a", _label(project, project.truth["a"] + 7, tmp_path)), 400)
    _assert_refused(_send(served, "a", _label(project, project.truth["a"] + np.float32(0.5), tmp_path)), 400)
    good.write_bytes(whole[:-100])
    _assert_refused(_send(served, "a", good), 400)
    good.write_bytes(b"no image")
    _assert_refused(_send(served, "a", good), 400)
    elsewhere = SimpleITK.GetImageFromArray(project.truth["a"])
    SimpleITK.WriteImage(elsewhere, str(good))
    _assert_refused(_send(served, "a", good), 400)
    assert not (project.folder / "annotated" / "units").exists()


def _assert_refused(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert "/tmp" not in answer.text


def test_what_is_not_covered_is_not_there(served: Served) -> None:
    for method, selector in (
        ("POST", "/infer/segmentation?image=a"),
        ("POST", "/train/segmentation"),
        ("DELETE", "/train/"),
        ("PUT", "/session/"),
        ("GET", "/session/abc"),
        ("PUT", "/datastore/?image=c"),
        ("DELETE", "/datastore/label?id=a&tag=final"),
        ("GET", "/datastore/label?label=a&tag=original"),
        ("POST", "/batch/infer/x"),
        ("GET", "/proxy/dicom"),
    ):
        answer = _ask(served, method, selector)
        assert answer.status_code in (404, 405), (selector, answer.status_code)
        assert "error" in answer.json()
    assert _ask(served, "GET", "/logs/?lines=300").text == ""


def test_only_who_annotates_gets_in(served: Served) -> None:
    for token in ("", "wrong", f"{served.token('ann')}x"):
        assert served.client.get(f"/monai/{token}/info/").status_code == 401
    for selector in ("info/", "datastore/image?image=a", "datastore/"):
        assert served.client.get(f"/monai/{served.token('rev')}/{selector}").status_code == 403
    both = serve_site(served.site.work.drawings.handed.folder)
    assert both.client.get(f"/monai/{both.token('ann')}/datastore/image?image=%2e%2e%2fa").status_code == 404
