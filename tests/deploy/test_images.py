"""What each image copies and installs is enough for it, and no more than it may import."""

import re
import shutil
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()

# Target: what its programs import.
PROGRAMS = {
    "api": "api.__main__ api.main core.jobs.migrate foglab.cli foglab.tokens core.jobs.store",
    "dashboard": "dashboard.access dashboard.charts dashboard.form_widgets streamlit.web.cli",
    "ingest": "worker.app worker.tasks worker.run_job core.stages.ingest core.stages.export "
    "kombu.transport.redis",
    "worker": "worker.app worker.tasks worker.run_job kombu.transport.redis core.stages.ingest "
    "core.stages.global_model core.stages.local_model core.stages.policy core.stages.evaluate "
    "core.stages.rollout core.simulation.engine worker.simulator.server worker.simulator.__main__",
}
LEARNING = {"torch", "diffusers", "gymnasium", "pymunk"}

OURS = {"api", "core", "dashboard", "foglab", "worker"}

# Only what the image copies and installs can be imported; the rest of this environment is hidden.
CHECK = """
import importlib, sys
folder, hidden, *names = sys.argv[1:]
hidden = set(hidden.split())
class Image:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition('.')[0] in hidden else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)  # metadata of distributions is found here too
sys.meta_path[:] = [
    Image(f)
    for f in sys.meta_path
    # The editable install would find what the image lacks in the checkout.
    if hasattr(f, 'find_spec') and not getattr(f, '__module__', '').startswith('__editable__')
]
sys.path.insert(0, folder)
for name in names:
    importlib.import_module(name)
"""

every_image = pytest.mark.parametrize("target", sorted(PROGRAMS))


def stage(target: str) -> str:
    """The text of one stage of the Dockerfile."""
    found = re.search(rf"^FROM \S+ AS {target}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
    assert found is not None
    return found[1]


def required(target: str) -> list[Requirement]:
    """What `requirements/<target>.txt` names, with the files it includes."""
    found: list[Requirement] = []
    for line in (ROOT / "requirements" / f"{target}.txt").read_text().splitlines():
        if line.startswith("-r "):
            found += required(line.removeprefix("-r ").removesuffix(".txt"))
        elif line and not line.startswith("#"):
            found.append(Requirement(line))
    return found


@cache
def owners() -> dict[str, set[str]]:
    """For each importable name the distributions that bring it."""
    found = metadata.packages_distributions().items()
    return {top: {canonicalize_name(name) for name in names} for top, names in found}


@cache
def closure(target: str) -> set[str]:
    """Names of all distributions that the requirements of an image bring with them."""
    found: set[tuple[str, str]] = set()
    waiting = [(r.name, e) for r in required(target) for e in ("", *r.extras)]
    while waiting:
        name, extra = waiting.pop()
        key = (canonicalize_name(name), extra)
        if key in found:
            continue
        found.add(key)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                waiting += [(need.name, e) for e in ("", *need.extras)]
    return {name for name, _ in found}


@every_image
def test_programs_of_an_image_load_from_what_it_holds(target: str, tmp_path: Path) -> None:
    for sources, place in re.findall(r"^COPY (?!--from)(.+) (\S+)$", stage(target), re.M):
        for source in sources.split():
            path = ROOT / source
            if path.is_dir():
                shutil.copytree(path, tmp_path / place, dirs_exist_ok=True)
            else:
                (tmp_path / place).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / place)
    installed = closure(target)
    absent = OURS - {path.name for path in tmp_path.iterdir()}
    hidden = {top for top, by in owners().items() if top not in OURS and not by & installed}
    # -I: neither this checkout nor a variable adds to what can be imported.
    command = [sys.executable, "-I", "-B", "-c", CHECK, str(tmp_path), " ".join(hidden | absent)]
    command += PROGRAMS[target].split()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


@every_image
def test_requirements_are_pinned_by_the_lock(target: str) -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    names = [canonicalize_name(r.name) for r in required(target)]
    assert set(names) <= locked
    assert len(names) == len(set(names))


@pytest.mark.parametrize("target", ["api", "dashboard", "ingest"])
def test_only_the_learning_worker_has_torch(target: str) -> None:
    assert not closure(target) & LEARNING
    assert closure("worker") >= LEARNING
    assert "core core" not in stage(target)


@every_image
def test_image_runs_as_nobody_in_particular(target: str) -> None:
    assert re.findall(r"^USER (.+)$", stage(target), re.M) == ["10001:10001"]


def test_base_images_are_plain_tags() -> None:
    # A digest or a frontend image would need a network where a tag may be at hand.
    assert "# syntax" not in DOCKERFILE
    bases = {b for b in re.findall(r"^FROM (\S+)", DOCKERFILE, re.M) if ":" in b or "/" in b}
    assert bases == {"python:3.11-slim-bookworm"}
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.M))
    assert set(re.findall(r"(?:--from=|from=)([\w-]+)", DOCKERFILE)) <= stages


def test_build_context_holds_only_what_is_named() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert allowed == {
        "api", "core", "dashboard", "docs/formats.md", "foglab", "requirements", "requirements.lock", "wheels",
        "worker",
    }  # fmt: skip
