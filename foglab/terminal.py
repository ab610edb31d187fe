"""What all commands share: where the service is, tables or JSON, errors as sentences."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from typer.core import TyperGroup

from core.jobs.replies import Reply
from foglab import locate
from foglab.client import ServiceClient
from foglab.transport import ServiceError

PIPE_COLUMNS = 160


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal; in a pipe wide enough not to break ids and addresses."""
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=PIPE_COLUMNS)


out = console()
err = console(stderr=True)


@dataclass(frozen=True)
class Place:
    """The options before the command."""

    url: str | None = None
    token: str | None = None
    home: Path | None = None
    json: bool = False
    """Print JSON instead of tables."""

    @property
    def root(self) -> Path:
        return locate.home_of(self.home)

    def client(self, patience: float = 5.0) -> ServiceClient:
        """Raises `ServiceError` if no service or token is known."""
        return locate.connect(self.url, self.token, self.home, patience=patience)


def place(context: typer.Context) -> Place:
    """What the command line said about the service."""
    found: Place = context.obj or Place()
    return found


def emit(
    context: typer.Context,
    found: Reply | Sequence[Reply] | dict[str, Any] | list[dict[str, Any]],
    *shown: RenderableType,
) -> None:
    """Print what was found: as JSON if that was asked for, else what is to be shown of it."""
    if place(context).json:
        print(json.dumps(plain(found)))
        return
    for part in shown or (json.dumps(plain(found), indent=1),):
        if isinstance(part, str):
            out.print(part, highlight=False, markup=False, soft_wrap=True)
        else:
            out.print(part)


def plain(found: Any) -> Any:
    """Replies as what JSON can hold."""
    if isinstance(found, Reply):
        return found.model_dump(mode="json")
    if isinstance(found, list | tuple):
        return [plain(one) for one in found]
    return found


def table(rows: Sequence[Reply], *fields: str) -> Table:
    """One row each; a field may be a part of another, as `result.psnr_10`."""
    made = Table(box=None, pad_edge=False)
    for field in fields:
        made.add_column(field.rpartition(".")[2].replace("_at", ""), no_wrap=field == "id")
    for row in rows:
        made.add_row(*(_cell(row, field) for field in fields))
    return made


def _cell(row: Reply, field: str) -> str:
    first, _, rest = field.partition(".")
    value = getattr(row, first, None)
    if rest:
        value = (value or {}).get(rest)
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


REFUSED, NO_ANSWER, NOT_ALLOWED = 1, 3, 4
"""Exit codes: what was asked for failed or was refused; no service; no right to. Wrong usage is 2."""


class Commands(TyperGroup):
    """A refusal of the service is one red line and an exit code that says why, not a traceback.

    `--json` may stand anywhere on the line.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--json" in args:
            args = ["--json", *(a for a in args if a != "--json")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ServiceError, ValueError, TimeoutError) as error:
            status = error.status if isinstance(error, ServiceError) else None
            if isinstance(ctx.obj, Place) and ctx.obj.json:
                print(json.dumps({"error": str(error), "status": status}), file=sys.stderr)
            else:
                err.print(str(error), style="red", highlight=False, markup=False)
            raise typer.Exit(
                {0: NO_ANSWER, 401: NOT_ALLOWED, 403: NOT_ALLOWED}.get(
                    -1 if status is None else status, REFUSED
                )
            ) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
