"""Where one installation keeps its files, its database and its broker."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

_SOCKET_PATH_BYTES = 100  # Linux allows 107, and redis makes no room for a suffix


@dataclass(frozen=True)
class Environment:
    """Read from FOGLAB_HOME, FOGLAB_DATABASE_URL and FOGLAB_BROKER_URL.

    Passwords may come in files of their own, so that no variable holds a secret:
    FOGLAB_DATABASE_PASSWORD_FILE and FOGLAB_BROKER_PASSWORD_FILE.
    """

    home: Path
    database_url: str
    broker_url: str

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Environment":
        """Defaults: `./.foglab`, a SQLite file in it, the bundled broker's socket in it.

        Raises `ValueError` if a password file cannot be read, is empty, or goes with no address.
        """
        home = Path(environ.get("FOGLAB_HOME") or ".foglab").absolute()
        return cls(
            home=home,
            database_url=_url(environ, "DATABASE") or f"sqlite:///{home}/foglab.db",
            broker_url=_url(environ, "BROKER")
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


def _url(environ: Mapping[str, str], what: str) -> str:
    """FOGLAB_<what>_URL, with the password of FOGLAB_<what>_PASSWORD_FILE if there is one."""
    url = environ.get(f"FOGLAB_{what}_URL") or ""
    name = f"FOGLAB_{what}_PASSWORD_FILE"
    file = environ.get(name)
    if not file:
        return url
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"{name} is set, but FOGLAB_{what}_URL names no server")
    if parts.password:
        raise ValueError(f"{name} is set, but FOGLAB_{what}_URL has a password too")
    user, _, host = parts.netloc.rpartition("@")
    secret = quote(_password(name, Path(file)), safe="")
    return urlunsplit(parts._replace(netloc=f"{user.removesuffix(':')}:{secret}@{host}"))


def _password(name: str, file: Path) -> str:
    try:
        password = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{name}: {file} cannot be read: {error.strerror}") from error
    if not password:
        raise ValueError(f"{name}: {file} is empty")
    return password
