"""Heartbeats, metrics files and log lines, without a service around them."""

import io
import json
import logging
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from api.heartbeats import Heartbeats
from api.telemetry import last_value
from core.jobs.records import Silence
from core.logs import JsonFormatter
from tests.jobs.makers import Clock


def test_heartbeat_age_counts_from_the_last_change() -> None:
    clock = Clock(0.0)
    beats = Heartbeats(clock)

    def job(name: str, n: int) -> Silence:
        return Silence(id=name, epoch=1, hb_seq=n)

    assert beats.look([job("a", 1), job("b", 1)]) == {"a": 0, "b": 0}
    clock.now = 5
    assert beats.look([job("a", 1), job("b", 2)]) == {"a": 5, "b": 0}
    clock.now = 7
    assert beats.look([job("b", 2)]) == {"b": 2}


def test_last_value_is_found_behind_other_metrics_and_half_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert last_value(path, "a") is None
    path.write_text('{"values": {"a": 1}}\n{"values": {"a": 2}}\n{"values": {"b": 3}}\n{"val')
    assert last_value(path, "a") == 2
    assert last_value(path, "c") is None


@given(text=st.text(), extra=st.text())
def test_no_text_can_forge_a_log_line_or_colour_a_terminal(text: str, extra: str) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    record = logging.makeLogRecord({"msg": "%s", "args": (text,), "path": extra})
    handler.emit(record)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == text
    assert json.loads(line)["path"] == extra
    assert all(" " <= character <= "~" for character in line)
