"""`foglab token …`: tokens of an installation, made where its database can be reached."""

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
from foglab.terminal import Place, out, place
from foglab.transport import ServiceError

if TYPE_CHECKING:  # a third of a second that other commands need not wait
    from core.jobs.store import Store

tokens = typer.Typer(no_args_is_help=True, help="Tokens that let callers in.")


@tokens.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who it is for")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write or admin; may be repeated")
    ] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires")] = None,
) -> None:
    """Make a token. It is shown once."""
    expires_at = None if days is None else time.time() + 86_400 * days
    with _store(place(context)) as store:
        print(store.create_token(name, scopes=scope or ["read", "write"], expires_at=expires_at))


@tokens.command("list")
def show(context: typer.Context) -> None:
    """All tokens, without their secrets."""
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "name", "scopes", "made", "expires", "revoked"):
        table.add_column(heading)
    with _store(place(context)) as store:
        for token in store.list_tokens():
            times = (token.created_at, token.expires_at, token.revoked_at)
            table.add_row(token.id, token.name, " ".join(token.scopes), *map(_when, times))
    out.print(table)


@tokens.command()
def revoke(context: typer.Context, token_id: Annotated[str, typer.Argument()]) -> None:
    """Make a token useless from its next request on."""
    with _store(place(context)) as store:
        token = store.revoke_token(token_id)
    out.print(f"{token.name} ({token.id}) is revoked", highlight=False, markup=False)


@contextmanager
def _store(where: Place) -> Iterator["Store"]:
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
        raise ServiceError(0, "The database said no", str(error)) from error


def environment_of(home: Path | None) -> Environment:
    """The installation that `home`, or the environment, names."""
    return Environment.read({**os.environ, **({"FOGLAB_HOME": str(home)} if home else {})})


def _when(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
