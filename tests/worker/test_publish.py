"""An artifact is whole in its place, or not there."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.artifacts import Artifacts
from core.jobs.spec import PREFIXES, EvaluateSpec, IngestSpec, Kind, spec_adapter
from worker.publish import final_place, publish, seal, withdraw


def sealed(folder: Path, content: str = "numbers") -> Path:
    out = folder / "out"
    (out / "previews").mkdir(parents=True)
    (out / "frames.u8").write_text(content)
    (out / "previews" / "0.mp4").write_text("moving")
    spec = IngestSpec(upload="up_" + "0" * 32, name="logs")
    seal(spec, "job_0000000000000000", "ds_0000000000000000", folder, out)
    return out


def alone(action: Callable[[], None]) -> None:
    action()


def refuse(action: Callable[[], None]) -> None:
    raise PermissionError("the claim was lost")


def test_every_kind_has_a_place_of_its_own(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    places = {final_place(artifacts, k, f"{PREFIXES[k]}_{'0' * 16}") for k in Kind}
    assert len(places) == len(set(PREFIXES.values()))
    assert tmp_path / "datasets" / ("ds_" + "0" * 16) / "v1" in places


def test_manifest_covers_every_file_in_every_folder(tmp_path: Path) -> None:
    sums = json.loads((sealed(tmp_path) / "manifest.json").read_text())["files"]
    assert set(sums) == {"frames.u8", "previews/0.mp4", "lineage.json"}


def test_lineage_names_the_inputs_by_field(tmp_path: Path) -> None:
    spec = spec_adapter.validate_python(
        EvaluateSpec(dataset="ds_" + "0" * 16, global_model="gm_" + "1" * 16).model_dump()
    )
    out = tmp_path / "out"
    out.mkdir()
    seal(spec, "job_0000000000000000", "ev_0000000000000000", tmp_path, out)
    inputs = json.loads((out / "lineage.json").read_text())["inputs"]
    assert inputs == {"dataset": "ds_" + "0" * 16, "global_model": "gm_" + "1" * 16}


def test_published_folder_moves_as_a_whole(tmp_path: Path) -> None:
    final = tmp_path / "datasets" / "a" / "v1"
    out = sealed(tmp_path / "attempt-1")
    publish(out, final, refuse)
    assert not out.exists()
    assert (final / "previews" / "0.mp4").read_text() == "moving"


def test_same_artifact_again_changes_nothing(tmp_path: Path) -> None:
    final = tmp_path / "datasets" / "a" / "v1"
    publish(sealed(tmp_path / "attempt-1"), final, refuse)
    before = final.stat().st_ino
    out = sealed(tmp_path / "attempt-2")
    publish(out, final, refuse)
    assert (final.stat().st_ino, out.exists()) == (before, False)


def test_leftover_of_a_dead_attempt_is_replaced_only_under_a_valid_claim(tmp_path: Path) -> None:
    final = tmp_path / "datasets" / "a" / "v1"
    publish(sealed(tmp_path / "attempt-1", "old"), final, refuse)
    out = sealed(tmp_path / "attempt-2", "new")
    with pytest.raises(PermissionError):
        publish(out, final, refuse)
    assert (final / "frames.u8").read_text() == "old"
    publish(out, final, alone)
    assert (final / "frames.u8").read_text() == "new"
    assert [p.name for p in (tmp_path / "attempt-2").iterdir()] == []


def test_artifact_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    final = tmp_path / "datasets" / "a" / "v1"
    publish(sealed(tmp_path / "attempt-1", "old"), final, refuse)
    out = sealed(tmp_path / "attempt-2", "new")

    def overtaken(action: Callable[[], None]) -> None:
        action()
        publish(sealed(tmp_path / "attempt-3", "third"), final, refuse)

    with pytest.raises(OSError, match="not empty"):
        publish(out, final, overtaken)
    assert (final / "frames.u8").read_text() == "third"


def test_reader_never_sees_half_an_artifact(tmp_path: Path) -> None:
    datasets = tmp_path / "datasets"
    datasets.mkdir()
    seen: set[frozenset[str]] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.update(frozenset(p.name for p in v1.iterdir()) for v1 in datasets.glob("*/v1"))

    reader = threading.Thread(target=look)
    reader.start()
    for n in range(20):
        publish(sealed(tmp_path / f"attempt-{n}"), datasets / str(n) / "v1", refuse)
    done.set()
    reader.join()
    whole = {"frames.u8", "previews", "lineage.json", "manifest.json"}
    assert seen == {frozenset(whole)}


def test_withdrawn_artifact_is_gone(tmp_path: Path) -> None:
    final = tmp_path / "datasets" / "a" / "v1"
    publish(sealed(tmp_path / "attempt-1"), final, refuse)
    withdraw(final, tmp_path / "attempt-1")
    assert not final.exists()
    assert [p.name for p in (tmp_path / "attempt-1").iterdir()] == []
