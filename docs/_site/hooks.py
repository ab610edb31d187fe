"""What MkDocs cannot know by itself: the menu, pages made from code, pictures of benchmarks."""

from pathlib import Path
from typing import Any

import pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
MENU: list[Any] = [
    {"Start": ["index.md", "tutorial.md", "concepts.md"]},
    {
        "Guides": [
            "formats.md",
            "rewards.md",
            "simulator.md",
            "policies.md",
            "webhooks.md",
            "mirrors.md",
            "deploy.md",
            "operations.md",
        ]
    },
    {
        "Reference": [
            {"REST API": "reference/rest.md"},
            {"Command line": "reference/cli.md"},
            {"Python": "reference/python.md"},
            {"Job specs": "reference/specs.md"},
        ]
    },
]
MADE = {
    "reference/rest.md": pages.rest,
    "reference/cli.md": pages.cli,
    "reference/specs.md": pages.specs,
    "reference/python.md": pages.python,
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The menu; a page that nobody gave a place is a guide."""
    placed = {
        page for group in MENU for page in next(iter(group.values())) if isinstance(page, str)
    }
    found = sorted(p.name for p in Path(config.docs_dir).glob("*.md"))
    menu = [dict(group) for group in MENU]
    menu[1]["Guides"] = menu[1]["Guides"] + [p for p in found if p not in placed]
    config.nav = menu
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages made from code, and the results of benchmarks, pictures and tables."""
    for name, make in MADE.items():
        files.append(File.generated(config, name, content=make()))
    for found in sorted((ROOT / "benchmarks/results").glob("*.*")):
        name = f"results/{found.name}"
        files.append(File.generated(config, name, abs_src_path=str(found)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Results of benchmarks, which pages in the repository link to where they are kept."""
    return markdown.replace("](../benchmarks/results/", "](results/")
