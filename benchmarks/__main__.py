"""List the benchmarks: `python -m benchmarks`."""

import ast
from pathlib import Path

from rich.console import Console


def main() -> None:
    console = Console(soft_wrap=True)
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            told = (ast.get_docstring(tree) or "").splitlines()[0]
            console.print(f"[bold]python -m benchmarks.{path.stem}[/]\n    {told}", highlight=False)


if __name__ == "__main__":
    main()
