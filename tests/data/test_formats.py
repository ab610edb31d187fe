"""Every format at a glance: a sample by the format's own library, ingested, equal frame by frame.

`docs/formats.md` shows the same table. What is generated is in `test_generated_logs.py`.
"""

import re
from pathlib import Path

import pytest

from tests.data.samples import SAMPLES, Sample, assert_equal_after_ingest, logs

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_what_is_ingested_equals_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Sample
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr("core.stages.ingest.write_previews", lambda *_: None)
    assert_equal_after_ingest(tmp_path, sample, logs((9, 14, 5, 11)))


def test_there_are_fourteen_and_the_page_names_each_with_its_library() -> None:
    assert {s.number for s in SAMPLES} == {*range(1, 15)}
    told = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.M)
    assert told == [
        (str(s.number), s.name, s.library, f"≤ {s.bound:g}" if s.bound else "equal")
        for s in SAMPLES
    ]
