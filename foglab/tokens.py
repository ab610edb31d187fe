"""`foglab token …` and `foglab project …`: made where an installation's database can be reached."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from core.jobs.environment import Environment
from foglab.terminal import Place, emit, out, place

if TYPE_CHECKING:  # a third of a second that other commands need not wait
    from core.jobs.store import Store

tokens = typer.Typer(no_args_is_help=True, help="Tokens that let callers in.")
projects = typer.Typer(no_args_is_help=True, help="Projects: callers see only their own's rows.")


@tokens.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who it is for")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, write or admin; admin includes write, and write includes read"),
    ] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires")] = None,
    project: Annotated[str, typer.Option(help="Whose rows it opens")] = "default",
) -> None:
    """Make a token. It is shown once."""
    expires_at = None if days is None else time.time() + 86_400 * days
    with open_store(place(context)) as store:
        own = store.of(project)
        print(own.create_token(name, scopes=scope or ["write"], expires_at=expires_at))


@tokens.command("list")
def show(context: typer.Context) -> None:
    """All tokens, without their secrets."""
    table = _table("id", "project", "name", "scopes", "made", "expires", "revoked")
    with open_store(place(context)) as store:
        found = store.list_tokens()
        for token in found:
            times = (token.created_at, token.expires_at, token.revoked_at)
            what = (token.id, token.project, token.name, " ".join(token.scopes))
            table.add_row(*what, *map(_when, times))
    emit(context, [token.model_dump(mode="json") for token in found], table)


@tokens.command()
def revoke(context: typer.Context, token_id: Annotated[str, typer.Argument()]) -> None:
    """Make a token useless from its next request on."""
    with open_store(place(context)) as store:
        token = store.revoke_token(token_id)
    out.print(f"{token.name} ({token.id}) is revoked", highlight=False, markup=False)


@projects.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="a-z, 0-9 and -")],
    quota_gb: Annotated[float | None, typer.Option(help="Most GB of uploads")] = None,
) -> None:
    """Make a project, or give one another quota."""
    quota = None if quota_gb is None else int(quota_gb * 1e9)
    with open_store(place(context)) as store:
        made = store.add_project(name, quota)
    out.print(f"{made.name}: {_quota(made.upload_quota)}", highlight=False, markup=False)


@projects.command("list")
def show_projects(context: typer.Context) -> None:
    """All projects and what they have uploaded."""
    table = _table("name", "uploaded", "quota")
    with open_store(place(context)) as store:
        for project in store.list_projects():
            used = store.of(project.name).uploaded_bytes()
            table.add_row(project.name, f"{used / 1e9:.2f} GB", _quota(project.upload_quota))
    out.print(table)


@contextmanager
def open_store(where: Place) -> Iterator["Store"]:
    """The store of the installation, migrated."""
    from core.jobs.errors import StoreError
    from core.jobs.migrate import upgrade
    from core.jobs.store import Store

    environment = environment_of(where.home)
    try:
        upgrade(environment.database_url)
        store = Store.open(environment.database_url)
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        raise ValueError(f"The database said no. {error}") from error


def environment_of(home: Path | None) -> Environment:
    """The installation that `home`, or the environment, names."""
    return Environment.read({**os.environ, **({"FOGLAB_HOME": str(home)} if home else {})})


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    return table


def _quota(quota: int | None) -> str:
    return "no quota of its own" if quota is None else f"{quota / 1e9:g} GB"


def _when(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
