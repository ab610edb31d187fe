"""`foglab download`, `lineage`, `metrics` and `compare`: what became of jobs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table
from rich.tree import Tree

from core.jobs.replies import Job, LineageNode
from foglab.client import ServiceClient
from foglab.terminal import emit, err, place

MODELS = ("gm_", "lm_", "pi_")


def download(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="Of a model, policy, export or rollout")
    ],
    target: Annotated[
        Path | None, typer.Option("-o", "--output", help="Zip to write; folder for a rollout")
    ] = None,
) -> None:
    """Fetch a model or an export as a zip, or the videos of a rollout into a folder."""
    with place(context).client(patience=60) as client, _bar() as progress:
        if identifier.startswith("ro_"):
            written = _videos(client, identifier, target or Path(identifier))
        elif identifier.startswith("ex_"):
            path = target or Path(f"{identifier}.zip")
            written = [client.download_export(identifier, path, progress)]
        elif identifier.startswith(MODELS):
            path = target or Path(f"{identifier}.zip")
            written = [client.download_model(identifier, path, progress)]
        elif identifier.startswith("ds_"):
            raise ValueError("a dataset is downloaded with `foglab dataset export`")
        else:
            raise ValueError(f"{identifier!r} is no id of a model, policy, export or rollout")
    told = [{"path": str(p), "bytes": p.stat().st_size} for p in written]
    emit(context, told, *(f"{p}  {decimal(p.stat().st_size)}" for p in written))


def lineage(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Of a dataset, model or result")],
) -> None:
    """What it was made from, as far back as the service knows; with --json, also what came of it."""
    with place(context).client() as client:
        nodes = client.lineage_of(identifier)
    emit(context, nodes, _tree({n.id: n for n in nodes}, identifier))


def metrics(
    context: typer.Context,
    job_id: str,
    after: Annotated[int, typer.Option(min=0, help="Skip so many lines")] = 0,
) -> None:
    """The last value of each of a job's metrics; with --json, every line of them."""
    with place(context).client() as client:
        found = client.metrics(job_id, after).items
    last: dict[str, tuple[int, float | None]] = {}
    for line in found:
        last |= {name: (line.step, value) for name, value in line.values.items()}
    shown = _rows(("metric", "step", "value"))
    for name, (step, value) in sorted(last.items()):
        shown.add_row(name, str(step), "" if value is None else f"{value:.5g}")
    emit(context, found, shown)


def compare(context: typer.Context, job_ids: Annotated[list[str], typer.Argument()]) -> None:
    """Jobs side by side: where their specs differ, and what came of each."""
    with place(context).client() as client:
        jobs = [client.job(i) for i in job_ids]
    told = compared(jobs)
    tables = []
    for part in ("spec", "result"):
        shown = _rows((part, *(f"{j.name}\n{j.id}" for j in jobs)))
        for field, values in told[part].items():
            shown.add_row(field, *map(_short, values))
        tables.append(shown)
    emit(context, told, *tables)


def compared(jobs: Sequence[Job]) -> dict[str, Any]:
    """Fields of the specs that differ, and all plain results, one value a job."""
    specs = [j.spec for j in jobs]
    results = [j.result or {} for j in jobs]
    by_field = {f: [s.get(f) for s in specs] for f in dict.fromkeys(f for s in specs for f in s)}
    differ = {f: values for f, values in by_field.items() if any(v != values[0] for v in values)}
    figures = {
        f: [r.get(f) for r in results]
        for f in dict.fromkeys(f for r in results for f in r)
        if not any(isinstance(r.get(f), dict) for r in results)
    }
    return {"jobs": [j.id for j in jobs], "spec": differ, "result": figures}


def _tree(nodes: dict[str, LineageNode], root: str) -> Tree:
    def told(identifier: str) -> str:
        node = nodes.get(identifier)
        return f"{identifier}  {node.kind}  {node.name}" if node else f"{identifier}  deleted"

    def grow(branch: Tree, identifier: str) -> None:
        node = nodes.get(identifier)
        for source in node.made_from if node else ():
            grow(branch.add(told(source), highlight=False), source)

    tree = Tree(told(root), highlight=False)
    grow(tree, root)
    return tree


def _videos(client: ServiceClient, rollout_id: str, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    items = client.rollout(rollout_id).items or []
    return [client.download_rollout(rollout_id, i.n, folder / f"{i.n}.mp4") for i in items]


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        shown = bar.add_task("Downloading", total=None)
        yield lambda done, total: bar.update(shown, completed=done, total=total or None)


def _rows(headings: Sequence[str]) -> Table:
    made = Table(box=None, pad_edge=False)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_short, value[:6])) + (" …" if len(value) > 6 else "")
    return "" if value is None else str(value)
