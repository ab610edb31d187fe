"""Where one installation keeps its files, its database and its broker."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

_SOCKET_PATH_BYTES = 100  # Linux allows 107, and redis makes no room for a suffix


@dataclass(frozen=True)
class Environment:
    """Read from FOGLAB_HOME, FOGLAB_DATABASE_URL and FOGLAB_BROKER_URL."""

    home: Path
    database_url: str
    broker_url: str

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Environment":
        """Defaults: `./.foglab`, a SQLite file in it, the bundled broker's socket in it."""
        home = Path(environ.get("FOGLAB_HOME") or ".foglab").absolute()
        return cls(
            home=home,
            database_url=environ.get("FOGLAB_DATABASE_URL") or f"sqlite:///{home}/foglab.db",
            broker_url=environ.get("FOGLAB_BROKER_URL")
            or f"redis+socket://{broker_socket(home)}?virtual_host=0",
        )

    def variables(self) -> dict[str, str]:
        """The same as environment variables, for a child process."""
        return {
            "FOGLAB_HOME": str(self.home),
            "FOGLAB_DATABASE_URL": self.database_url,
            "FOGLAB_BROKER_URL": self.broker_url,
        }


def broker_socket(home: Path) -> Path:
    """`run/broker.sock` under home, or a short path that depends on home only.

    The kernel refuses socket paths above 107 bytes. The folder of the short path must be made
    private (0700) by whoever starts the broker.
    """
    path = home.absolute() / "run" / "broker.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        return path
    digest = sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"foglab-{os.getuid()}-{digest}" / "broker.sock"
