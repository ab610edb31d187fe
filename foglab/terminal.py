"""What all commands share: where the service is, the two consoles, errors as sentences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

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


class Commands(TyperGroup):
    """A refusal of the service is one red line and exit code 1, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ServiceError, ValueError, TimeoutError) as error:
            err.print(str(error), style="red", highlight=False, markup=False)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
