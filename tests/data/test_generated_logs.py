"""Published data equals uploaded data: 200 generated logs of every format."""

import hashlib
import tempfile
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.makers import UPLOAD, ingest
from tests.data.samples import SAMPLES, Logs, Sample, assert_equal_after_ingest, logs

SAME = ("dataset.json", "episodes.json", "frames.u8", "actions.f32")


@st.composite
def generated(draw: st.DrawFn) -> Logs:
    """Two to five episodes of 3 to 20 frames, any actions, any grouping of episodes, rows or
    pictures in a file."""
    lengths = draw(st.lists(st.integers(3, 20), min_size=2, max_size=5))
    shape, number = (sum(lengths) - len(lengths), 2), st.floats(-9, 9, width=32)
    actions = draw(hnp.arrays(np.float32, shape, elements=number))
    return logs(lengths, actions, draw(st.integers(1, 12)))


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_generated_logs_are_published_as_they_are_and_twice_the_same(
    monkeypatch: pytest.MonkeyPatch, sample: Sample
) -> None:
    monkeypatch.setattr("core.stages.ingest.write_previews", lambda *_: None)

    @settings(max_examples=200, suppress_health_check=list(HealthCheck))
    @given(generated())
    def holds(made: Logs) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            monkeypatch.setenv("MINARI_DATASETS_PATH", folder)
            first = assert_equal_after_ingest(root, sample, made)
            data = (root / "uploads" / UPLOAD / "data").read_bytes()
            again, _ = ingest(
                root, lambda path: path.write_bytes(data), sample.filename, **sample.spec
            )
            assert hashes(first) == hashes(again)

    holds()


def hashes(dataset: Path) -> dict[str, str]:
    """SHA-256 of what training reads of a dataset, by file."""
    return {name: hashlib.sha256((dataset / name).read_bytes()).hexdigest() for name in SAME}
