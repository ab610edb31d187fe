"""`foglab backup`, `foglab restore`, `foglab gc`: an installation's files and database."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from foglab.terminal import err, out, place
from foglab.tokens import environment_of, open_store


def backup(
    context: typer.Context, target: Annotated[Path, typer.Argument(help="File to write")]
) -> None:
    """Copy database, uploads, datasets, models and checkpoints to one file; the service may run."""
    from core.jobs.backup import backup as write

    done = write(environment_of(place(context).home), target)
    out.print(f"{target}: {done.files} files, {done.bytes / 1e6:.1f} MB", highlight=False)
    for name in done.damaged:
        err.print(f"damaged already: {name}", style="red", highlight=False, markup=False)
    if done.damaged:
        raise typer.Exit(1)


def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="File of `backup`")],
) -> None:
    """Fill an empty installation from a backup, every checksum verified."""
    from core.jobs.backup import restore as read

    environment = environment_of(place(context).home)
    done = read(environment, source)
    out.print(
        f"{environment.home}: {done.files} files, {done.bytes / 1e6:.1f} MB, all as they were. "
        "Make a token with `foglab token create`",
        highlight=False,
    )


def gc(
    context: typer.Context,
    delete: Annotated[bool, typer.Option("--delete", help="Remove what is listed")] = False,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Also folders that no job of this database made")
    ] = False,
    days: Annotated[
        float, typer.Option(min=0, help="Days that failed and cancelled jobs keep checkpoints")
    ] = 14.0,
) -> None:
    """List what nothing needs any more; workers remove it once an hour, `--delete` does it now."""
    from core.artifacts import Artifacts
    from core.jobs.leftovers import Leftovers

    where = place(context)
    root = environment_of(where.home).home
    if not root.is_dir():
        raise ValueError(f"There is no installation: {root} does not exist")
    with open_store(where) as store:
        leftovers = Leftovers(store, Artifacts(root), days)
        found = leftovers.find() + (leftovers.find_unknown() if unknown else [])
        table = Table(box=None, pad_edge=False)
        for heading in ("folder", "MB", "why", ""):
            table.add_column(heading)
        freed = 0
        for one in found:
            size = one.size
            gone = delete and leftovers.remove(one)
            freed += size if gone or not delete else 0
            did = ("removed" if gone else "kept") if delete else ""
            table.add_row(str(one.path.relative_to(root)), f"{size / 1e6:.1f}", one.why, did)
    if found:
        out.print(table)
    told = "freed" if delete else "can be freed with --delete"
    out.print(f"{freed / 1e6:.1f} MB {told}", highlight=False)
