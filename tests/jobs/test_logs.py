"""Log lines: which job and request they are about, and that nobody can forge one."""

import io
import json
import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.logs import JsonFormatter, TextFormatter, about, logs

EVIL = "a\r\n2026-01-01 00:00:00,000 INFO root forged\x1b[31m\x9b2J\u2028\x7f"


def _record(message: str, error: Exception | None = None) -> logging.LogRecord:
    trace = (type(error), error, None) if error else None
    return logging.LogRecord("foglab", logging.INFO, "f", 1, "%s", (message,), trace)


@given(st.text())
def test_no_text_forges_an_entry(text: str) -> None:
    for told in (text, EVIL + text):
        line = JsonFormatter().format(_record(told, ValueError(told)))
        assert line.isprintable()
        assert json.loads(line)["message"] == told
        first, *trace = TextFormatter().format(_record(told, ValueError(told))).split("\n")
        assert first.isprintable()
        assert all(t.startswith("  ") and t.isprintable() for t in trace)


def test_lines_say_what_they_are_about() -> None:
    with about(job="job_1"), about(request_id="r"):
        inner = json.loads(JsonFormatter().format(_record("x")))
    after = json.loads(JsonFormatter().format(_record("x")))
    assert (inner["job"], inner["request_id"]) == ("job_1", "r")
    assert "job" not in after


def test_form_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import logging; from core.logs import logs; logs('text', n=1); logging.warning('hm')"
    told = {}
    for form in ("json", "text", ""):
        environ = {**os.environ, "FOGLAB_LOG": form}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environ, check=True, capture_output=True, text=True
        )
        told[form] = done.stderr
    assert json.loads(told["json"])["n"] == 1
    assert told["text"].endswith("WARNING root hm\n")
    assert told[""].endswith("WARNING root hm\n")
    monkeypatch.setenv("FOGLAB_LOG", "xml")
    with pytest.raises(ValueError, match="FOGLAB_LOG is 'xml'"):
        logs("json", io.StringIO())
