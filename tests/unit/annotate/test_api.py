"""What the page asks and gets."""

from __future__ import annotations

import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest

from albench.annotation.grid import Grid
from albench.annotation.returned import read_label
from tests.support.annotate_site import Served, decode, encode, serve_site
from tests.support.annotation_project import Project, make_project
from tests.support.oriented import DIRECTIONS


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, {"a": [2, 5], "b": [4]}, filling="prediction", audited=[("a", 5)])


@pytest.fixture
def served(project: Project) -> Served:
    return serve_site(project.folder)


def test_query_says_all_that_lists_show(served: Served) -> None:
    query = served.get("ann", "query")
    assert query["me"] == {"name": "ann", "role": "annotator"}
    assert [row["code"] for row in query["classes"]] == [0, 1, 2]
    assert [row["name"] for row in query["classes"]] == ["background", "organ", "tumour"]
    assert query["ignore_code"] == 3
    assert (query["channels"], query["is_ct"], query["idle_seconds"]) == (["CT"], [True], 30.0)
    units = query["units"]
    assert [unit["rank"] for unit in units] == [1, 2, 3]
    assert [unit["name"] for unit in units] == ["a", "a", "b"]
    assert [unit["n_unlabelled"] for unit in units] == [0, 14 * 12, 0]
    assert [unit["role"] for unit in units] == ["strategy", "audit", "strategy"]
    first = units[0]
    assert (first["axis"], first["shape"], first["version"], first["status"]) == (2, [14, 12, 9], 0, "open")
    assert first["box"] == {"start": [0, 0, 2], "stop": [14, 12, 3]}
    assert first["slab"] == {"start": [0, 0, 0], "stop": [14, 12, 9]}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_is_drawn_is_where_it_was_seen(tmp_path: Path, direction: str) -> None:
    """Image, box and labels are in one frame: labels drawn by what the image shows come back at these voxels."""
    project = make_project(tmp_path, {"a": [2, 5]}, direction=direction, filling="none")
    served = serve_site(project.folder)
    grid = Grid.of_file(project.image("a"))
    canonical = nibabel.as_closest_canonical(nibabel.load(project.image("a")))
    truth = nibabel.as_closest_canonical(nibabel.Nifti1Image(project.truth["a"].transpose(), grid.affine))
    whole = _image(served, "cases/0/image?channel=0")
    assert np.array_equal(np.asarray(whole.dataobj), np.asarray(canonical.dataobj))
    assert whole.get_data_dtype() == np.int16
    assert np.allclose(whole.header.get_zooms(), canonical.header.get_zooms())
    assert nibabel.aff2axcodes(whole.affine) == ("R", "A", "S")
    for unit in served.get("ann", "query")["units"]:
        box, slab = (
            tuple(slice(*ends) for ends in zip(unit[part]["start"], unit[part]["stop"], strict=True))
            for part in ("box", "slab")
        )
        part = _image(served, f"units/{unit['rank']}/image")
        assert np.array_equal(np.asarray(part.dataobj), np.asarray(canonical.dataobj)[slab])
        codes = np.asarray(truth.dataobj)[box]  # values are 0, 1, 2, and so are codes
        assert unit["n_unlabelled"] == codes.size
        answer = served.put("ann", unit["rank"], labels=encode(codes), status="done")
        assert answer.status_code == 200, answer.text
        assert (answer.json()["version"], answer.json()["n_unlabelled"]) == (1, 0)
        again = served.get("ann", f"units/{unit['rank']}")
        assert np.array_equal(decode(again["labels"], codes.shape), codes)
        assert (decode(again["handed_out"], codes.shape) == 3).all()
        drawn = served.site.work.read("ann", unit["rank"]).labels
        asked = next(each for each in project.query.units if each.rank == unit["rank"])
        assert np.array_equal(drawn, project.truth["a"].transpose()[project.box(asked)[::-1]])


@pytest.mark.parametrize("ending", [".nii", ".mha", ".nrrd", ".png", ".gipl"])
def test_every_format_is_shown(tmp_path: Path, ending: str) -> None:
    shape = (1, 12, 14) if ending == ".png" else (9, 12, 14)
    direction = "lps" if ending == ".gipl" else "oblique"
    project = make_project(tmp_path, {"a": [0]}, ending=ending, shape=shape, direction=direction)
    served = serve_site(project.folder)
    image = _image(served, "units/1/image")
    unit = served.get("ann", "units/1")
    low, high = unit["slab"]["start"], unit["slab"]["stop"]
    assert image.shape == tuple(last - first for first, last in zip(low, high, strict=True))
    handed = read_label(project.file("a"), Grid.of_file(project.image("a")))
    turn = served.site.work.asked.cases["a"].turn
    box = tuple(slice(*ends) for ends in zip(unit["box"]["start"], unit["box"]["stop"], strict=True))
    codes = decode(unit["labels"], [edge.stop - edge.start for edge in box])
    assert np.array_equal(codes, turn.turned(handed)[box])


def test_photographs_are_colours(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [0]}, ending=".png", shape=(1, 12, 14))
    pixels = np.random.default_rng(3).integers(0, 255, (12, 14, 3)).astype(np.uint8)
    _replace_image(project, pixels)
    served = serve_site(project.folder)
    assert served.get("ann", "query")["channels"] == ["colours"]
    shown = np.asarray(_image(served, "units/1/image").dataobj)
    assert shown.dtype.names == ("R", "G", "B")
    for place, name in enumerate("RGB"):
        assert np.array_equal(shown[name][:, :, 0], pixels[::-1, :, place].T)


def test_a_slice_is_done_once_all_of_it_is_labelled(served: Served) -> None:
    refused = served.put("ann", 2, status="done")
    assert refused.status_code == 400
    assert "168" in refused.json()["error"]
    assert served.put("ann", 2, status="done", allow_unlabelled=True).json()["n_unlabelled"] == 168


def test_an_older_version_is_refused_with_the_newer_one(served: Served) -> None:
    ones = encode(np.ones((14, 12, 1)))
    assert served.put("ann", 1, labels=ones).json()["version"] == 1
    refused = served.put("ann", 1, labels=encode(np.zeros((14, 12, 1))))
    assert refused.status_code == 409
    assert refused.json()["current"]["version"] == 1
    assert (decode(refused.json()["current"]["labels"], (14, 12, 1)) == 1).all()
    assert served.put("ann", 1, base=1, labels=encode(np.zeros((14, 12, 1)))).json()["version"] == 2


def test_what_is_sent_again_is_kept_once(served: Served) -> None:
    body = {"labels": encode(np.ones((14, 12, 1))), "comment": "hazy", "seconds_delta": 12.5}
    assert served.put("ann", 1, **body).json()["version"] == 1
    again = served.put("ann", 1, **body).json()
    assert (again["version"], again["seconds"], again["comment"]) == (1, 12.5, "hazy")


def test_of_two_at_once_one_is_told(served: Served) -> None:
    answers, barrier = [], threading.Barrier(8)

    def save(code: int) -> None:
        barrier.wait()
        answers.append(served.put("ann", 1, labels=encode(np.full((14, 12, 1), code % 3)), comment=str(code)))

    threads = [threading.Thread(target=save, args=(code,)) for code in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    kept = next(answer.json()["comment"] for answer in answers if answer.status_code == 200)
    assert {answer.json()["current"]["comment"] for answer in answers if answer.status_code == 409} == {kept}


def test_versions_can_be_gone_back_to(served: Served) -> None:
    for base, code in enumerate((1, 2, 0)):
        served.put("ann", 1, base=base, labels=encode(np.full((14, 12, 1), code)))
    listed = served.get("ann", "units/1/versions")
    assert [(row["version"], row["by"], row["n_unlabelled"]) for row in listed] == [(n, "ann", 0) for n in (1, 2, 3)]
    assert (decode(served.get("ann", "units/1/versions/2")["labels"], (14, 12, 1)) == 2).all()
    first = served.get("ann", "units/1/versions/0")["labels"]
    assert first == served.get("ann", "units/1")["handed_out"]
    assert served.client.get("/api/units/1/versions/9", headers=served.headers("ann")).status_code == 404


def test_a_review_holds_until_the_annotator_changes_something(served: Served) -> None:
    def review(**body: object) -> object:
        content = {"annotator": "ann", "base": 1, "verdict": "accepted", "remark": "good", **body}
        return served.client.post("/api/units/1/review", headers=served.headers("rev"), json=content)

    served.put("ann", 1, status="later")
    assert review().status_code == 400  # nobody said that it is done
    served.put("ann", 1, base=1, status="done")
    assert review().status_code == 409
    accepted = review(base=2).json()
    assert (accepted["version"], accepted["verdict"], accepted["remark"]) == (3, "accepted", "good")
    time_alone = served.put("ann", 1, base=3, status="done", seconds_delta=3).json()
    assert (time_alone["verdict"], time_alone["seconds"]) == ("accepted", 3)
    changed = served.put("ann", 1, base=4, status="done", labels=encode(np.ones((14, 12, 1)))).json()
    assert (changed["verdict"], changed["remark"]) == (None, "")


def test_two_annotators_see_their_own_units_and_agreement_counts_what_both_did(project: Project) -> None:
    served = serve_site(project.folder, ["ann", "bob"], overlap=1)
    by_name = {name: [unit["rank"] for unit in served.get(name, "query")["units"]] for name in ("ann", "bob")}
    shared = set(by_name["ann"]) & set(by_name["bob"])
    assert len(shared) == 1
    assert set(by_name["ann"]) | set(by_name["bob"]) == {1, 2, 3}
    (rank,) = shared
    assert len(served.get("rev", "query")["units"]) == 4
    one, other = np.zeros((14, 12, 1)), np.zeros((14, 12, 1))
    one[:4], other[2:6] = 1, 1
    other[10:] = 2
    for name, codes in (("ann", one), ("bob", other)):
        assert served.put(name, rank, labels=encode(codes), status="done", seconds_delta=60).status_code == 200
    assert (decode(served.get("rev", f"units/{rank}?annotator=ann")["labels"], (14, 12, 1)) == one).all()
    assert (decode(served.get("rev", f"units/{rank}?annotator=bob")["labels"], (14, 12, 1)) == other).all()
    progress = served.get("rev", "progress")
    assert progress["agreement"] == [{"annotators": ["ann", "bob"], "units": 1, "dice": {"organ": 0.5, "tumour": 0.0}}]
    rows = {row["annotator"]: row for row in progress["annotators"]}
    for name in ("ann", "bob"):
        assert (rows[name]["done"], rows[name]["units"], rows[name]["seconds"]) == (1, len(by_name[name]), 60)


def test_a_restarted_server_knows_everybody_and_everything(project: Project, served: Served) -> None:
    served.put("ann", 1, labels=encode(np.ones((14, 12, 1))), status="done")
    again = serve_site(project.folder)
    assert again.token("ann") == served.token("ann")
    assert again.get("ann", "query")["units"][0]["status"] == "done"
    tokens = project.folder / "annotated" / "tokens.json"
    assert tokens.stat().st_mode & 0o777 == 0o600
    tokens.chmod(0o644)  # others may have read it
    assert serve_site(project.folder).token("ann") != served.token("ann")


def _image(served: Served, path: str) -> nibabel.Nifti1Image:
    answer = served.client.get(f"/api/{path}", headers=served.headers("ann"))
    assert answer.status_code == 200, answer.text
    return nibabel.Nifti1Image.from_bytes(answer.content)


def _replace_image(project: Project, pixels: np.ndarray) -> None:
    """Put other pixels of the same size in the image's place, and their digest into the query."""
    from PIL import Image

    from albench.machine.files import sha256
    from albench.results.query import Query

    Image.fromarray(pixels).save(project.image("a"))
    query = Query.read(project.folder / "query.json")
    described = query.cases["a"].model_copy(update={"sha256": (sha256(project.image("a")),)})
    query.model_copy(update={"cases": {"a": described}}).write(project.folder / "query.json")
