"""Whatever bytes come back: labels, a finding, or one line of error; never anything else, and nothing is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albench.annotation.backup import undo
from albench.annotation.overview import overview
from albench.errors import InputError
from tests.support.annotation_project import QUERY, Project, make_project
from tests.unit.machine.test_journal import snapshot

ENDINGS = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("project"), {"a": [2, 5]})
    made.annotate()
    return made


@pytest.fixture(scope="module")
def files(project: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Sound answers in each format."""
    folder = tmp_path_factory.mktemp("files")
    labels = SimpleITK.ReadImage(str(project.file("a")))
    content = {".seg.nrrd": (project.folder / "tasks/a.seg.nrrd").read_bytes()}
    for ending in ENDINGS:
        if ending not in content:
            SimpleITK.WriteImage(labels, str(folder / f"a{ending}"))
            content[ending] = (folder / f"a{ending}").read_bytes()
    return content


damage = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.sampled_from(["set", "insert", "cut"])),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, changes: list[tuple[float, int, str]], within: int) -> bytes:
    result = bytearray(content)
    for place, value, kind in changes:
        position = int(place * min(len(result), within))
        if kind == "set" and result:
            result[position] = value
        elif kind == "insert":
            result.insert(position, value)
        elif kind == "cut" and value > 200:
            del result[position:]
    return bytes(result)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ENDINGS), damage, st.sampled_from([352, 3000, 1 << 20]))
def test_label_files(
    project: Project, files: dict[str, bytes], ending: str, changes: list[tuple[float, int, str]], within: int
) -> None:
    for path in project.labels.glob("a.*"):
        path.unlink()
    (project.labels / f"a{ending}").write_bytes(damaged(files[ending], changes, within))
    try:
        report = project.take(dry_run=True)
    except InputError:
        return
    assert report.backup is None
    for finding in report.findings:
        assert finding.message and finding.message.isprintable()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["ledger", "manifest", "query", "table", "description"]), damage)
def test_own_files(tmp_path_factory: pytest.TempPathFactory, which: str, changes: list[tuple[float, int, str]]) -> None:
    project = make_project(tmp_path_factory.mktemp("own"), {"a": [2, 5]})
    project.annotate()
    backup = project.take().backup
    path = {
        "ledger": project.raw / "albench/ledger.csv",
        "manifest": project.raw / f"albench/backup/{backup}/import.json",
        "query": project.raw / f"albench/queries/{QUERY}/query.json",
        "table": project.folder / "query.csv",
        "description": project.raw / "dataset.json",
    }[which]
    path.write_bytes(damaged(path.read_bytes(), changes, 1 << 20))
    outside = snapshot(project.root)
    inside = f"{project.raw.name}/"
    for call in (lambda: overview(project.raw), project.take, lambda: undo(project.raw, QUERY)):
        try:
            call()
        except InputError as error:
            assert str(error)
    now = snapshot(project.root)
    for name, content in outside.items():
        if not name.startswith(inside):
            assert now[name] == content
    shutil.rmtree(project.root)


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": 1}', "null", '{"format": 2, "steps": []}'])
def test_other_journals(content: str, tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2]})
    incoming = project.raw / "albench/incoming"
    incoming.mkdir(parents=True)
    (incoming / "journal.json").write_text(content)
    before = snapshot(project.raw)
    with pytest.raises(InputError, match="expected the journal of a change"):
        project.take()
    assert snapshot(project.raw) == before
    assert json.loads((incoming / "journal.json").read_text()) == json.loads(content)
