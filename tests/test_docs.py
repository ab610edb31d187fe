"""The documentation: it builds without a warning, loads nothing from elsewhere, leads nowhere wrong."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from core.jobs.spec import Kind

ROOT = Path(__file__).parents[1]
READ = ("README.md", "CHANGELOG.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md")))
MADE = ("results/", "reference/")
"""What only the built site has; the build itself checks links to it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return target


class Loads(HTMLParser):
    """Addresses that a browser fetches by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video"):
            self.found.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") in ("stylesheet", "preconnect", "preload", "icon"):
            self.found.append(given.get("href") or "")


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loads = Loads()
        loads.feed(page.read_text())
        assert loads.found
        assert not [a for a in loads.found if "//" in a.split("?")[0]], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text()), style


def test_references_tell_of_every_command_route_and_spec(site: Path) -> None:
    from api.main import create_app
    from foglab.cli import app
    from foglab.client import ServiceClient

    told = {p.stem: p.read_text() for p in (site / "reference").glob("*.html")}
    for command in app.registered_commands:
        assert callable(command.callback)
        name = command.name or command.callback.__name__
        assert f"foglab {name}".replace("_", "-") in told["cli"].replace("_", "-")
    for path in create_app().openapi()["paths"]:
        assert path in told["rest"]
    for kind in Kind:
        assert f'id="{kind.value}"' in told["specs"]
    for call in dir(ServiceClient):
        assert call.startswith("_") or f'id="foglab.client.ServiceClient.{call}"' in told["python"]


@pytest.mark.parametrize("name", READ)
def test_links_lead_to_files(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target or path.startswith(MADE):
            continue
        there = (page.parent / path) if path else page
        assert there.exists(), f"{name} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there.read_text()), f"{name} links to {target}"


def test_tutorial_scripts_make_logs_that_are_read(tmp_path: Path) -> None:
    from core.data.readers import detect

    text = (ROOT / "docs/tutorial.md").read_text()
    scripts = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for name, script in zip(("my_robot.py", "record.py"), scripts, strict=True):
        (tmp_path / name).write_text(script.replace("range(60)", "range(3)"))
    subprocess.run([sys.executable, "record.py"], cwd=tmp_path, check=True)
    found = detect(tmp_path / "logs.zip")
    assert (found.layout, found.episodes, found.problem) == ("npz", 3, "")


@pytest.mark.parametrize("name", READ)
def test_commands_in_the_text_exist(name: str) -> None:
    import typer.main

    from foglab.cli import app

    whole: Any = typer.main.get_command(app)
    for block in re.findall(r"```(?:bash)?\n(.*?)```", (ROOT / name).read_text(), re.DOTALL):
        for line in re.findall(
            r"^ *(foglab .*?)(?:  +#.*)?$", block.replace("\\\n", ""), re.MULTILINE
        ):
            command, options = whole, {"--json"}
            for word in shlex.split(line.split(" # ")[0])[1:]:
                options |= {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
                if word.startswith("-"):
                    assert word.partition("=")[0] in options, f"{name}: {line}: {word}"
                elif hasattr(command, "commands"):
                    if word in command.commands:
                        command = command.commands[word]
                    else:  # the value of an option before the command
                        assert command is whole, f"{name}: {line}: {word}"
            assert command is not whole, f"{name}: {line}"


def anchors(text: str) -> set[str]:
    """Those that headings and `<a id>` make."""
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
    return made | set(re.findall(r'<a id="([^"]+)"', text))
