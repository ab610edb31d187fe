"""Speed and memory of ingest, end to end on small logs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ingest, ingesting
from benchmarks.harness import Row
from benchmarks.machine import this_run


def test_every_source_is_ingested_and_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingesting, "FRAMES", 8)
    monkeypatch.setattr(ingesting, "SIDE", 16)
    monkeypatch.setattr(ingest, "MEASURED", ("zarr",))
    command = f"ingest --home {tmp_path} --results {tmp_path} --seeds 0 --megabytes 0"
    command += " --video-megabytes 0"
    names = ["--sources", "hdf5", "zarr", "h264"]
    monkeypatch.setattr(sys, "argv", [*command.split(), "--gigabytes", "0", *names])
    ingest.main()
    table = json.loads((tmp_path / "ingest.json").read_text())
    assert [line["source"] for line in table["summary"]] == ["hdf5", "zarr", "h264"]
    for line in table["summary"]:
        assert line["megabytes_per_core_second"]["mean"] > 0
        assert (line["share_of_decoding"] is not None) == line["source"].startswith("h264")
    assert [line["source"] for line in table["memory"]] == ["zarr"]
    assert all(20 < line["peak_megabytes"][0] < 2000 for line in table["memory"])
    assert not (tmp_path / "benchmarks" / "ingest" / "scratch").exists()


def test_the_line_through_the_peaks_is_drawn_out_to_50_gb(tmp_path: Path) -> None:
    run = this_run(tmp_path)
    sizes = [(1000.0, 102.0), (2000.0, 104.0), (4000.0, 108.0)]
    rows = [
        Row({"source": "hdf5"}, {"decoded_megabytes": size, "peak_megabytes": peak}, 0.0, run)
        for size, peak in sizes
    ]
    line = ingest.line_of("hdf5", rows)
    assert np.isclose(line["megabytes_per_gigabyte"], 2)
    assert np.isclose(line["peak_megabytes_at_50_gb"], 200)
