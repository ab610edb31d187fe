"""What is installed: no version below the one that fixed a known hole, and an honest SBOM."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
FLOORS = {
    "celery": "5.7.0",
    "kombu": "5.7.0",
    "starlette": "1.10.0",
    "python-multipart": "0.0.34",
    "streamlit": "1.54",
    "torch": "2.10",
    "pillow": "12.2",
    "pyarrow": "14.0.1",
}
LISTS = [ROOT / "requirements.lock", *sorted((ROOT / "requirements").glob("*.txt"))]


def pinned(path: Path) -> dict[str, str]:
    return {n.lower(): v for n, v in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", path.read_text())}


def number(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


@pytest.mark.parametrize("path", LISTS, ids=lambda p: p.name)
def test_no_pinned_version_has_a_hole_known_to_be_fixed(path: Path) -> None:
    have = pinned(path)
    assert {n: v for n, v in have.items() if n in FLOORS and number(v) < number(FLOORS[n])} == {}


def test_every_floor_is_about_a_locked_package() -> None:
    assert set(FLOORS) <= set(pinned(ROOT / "requirements.lock"))


def test_every_locked_package_has_one_exact_version() -> None:
    lines = [x for x in LOCK.splitlines() if x.strip() and not x.startswith(("#", "-"))]
    assert [x for x in lines if not re.match(r"^[\w.\[\]-]+==[\w.+!]+(\s*;.*)?$", x)] == []
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [d for d in declared if "==" not in d] == []


def check(sbom: dict[str, object], lock: str, folder: Path) -> str:
    for name, text in (("sbom", json.dumps(sbom)), ("lock", lock)):
        (folder / name).write_text(text)
    script = [sys.executable, str(ROOT / "deploy/check_sbom.py")]
    run = [*script, str(folder / "sbom"), str(folder / "lock")]
    return subprocess.run(run, capture_output=True, text=True, check=False).stderr


def test_sbom_that_leaves_something_out_is_refused(tmp_path: Path) -> None:
    part = {"name": "Some_Thing", "version": "1.0+cpu", "licenses": [{}]}
    bom = {"bomFormat": "CycloneDX", "components": [part]}
    assert check(bom, "some-thing==1.0\n", tmp_path) == ""
    assert "1.1 is locked" in check(bom, "some-thing==1.1\n", tmp_path)
    assert "other is missing" in check(bom, "other==1\n", tmp_path)
    part["licenses"] = []
    assert "has no licence" in check(bom, "some-thing==1.0\n", tmp_path)
