"""Where the service is and how to get in: options first, then the environment, then the files."""

import json
import os
from pathlib import Path

from foglab.client import ServiceClient
from foglab.transport import ServiceError


def home_of(home: Path | None) -> Path:
    """The installation's root: `home`, else FOGLAB_HOME, else ./.foglab."""
    return (home or Path(os.environ.get("FOGLAB_HOME") or ".foglab")).absolute()


def written_addresses(home: Path, by: int | None = None) -> dict[str, str]:
    """What `foglab up` wrote when it started; empty if it, or the process `by`, never did."""
    try:
        written = json.loads((home / "run" / "service.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    if by is not None and written.get("pids", {}).get("supervisor") != by:
        return {}
    return {k: v for k, v in written.items() if isinstance(v, str)}


def written_token(home: Path) -> str | None:
    """The token that was made at the service's first start."""
    try:
        return (home / "token").read_text().strip() or None
    except FileNotFoundError:
        return None


def connect(
    url: str | None = None,
    token: str | None = None,
    home: Path | None = None,
    *,
    patience: float = 5.0,
) -> ServiceClient:
    """A client for the service that the arguments, the environment or the home names."""
    root = home_of(home)
    found = url or os.environ.get("FOGLAB_URL") or written_addresses(root).get("api_url")
    if not found:
        raise ServiceError(
            0,
            "No service is known here",
            f"Start one with `foglab up`, or set FOGLAB_URL; {root} names none",
        )
    secret = token or os.environ.get("FOGLAB_TOKEN") or written_token(root)
    if not secret:
        raise ServiceError(
            0, "No token is known here", f"Set FOGLAB_TOKEN; there is no {root / 'token'}"
        )
    return ServiceClient(found, secret, patience=patience)
