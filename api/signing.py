"""Addresses that work for a while without a header, because a <video> tag can send none."""

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from urllib.parse import urlencode

ROUND_SECONDS = 600
"""Expiry is rounded up to this, so that an address stays the same while a page is redrawn."""


class Signer:
    """HMAC-SHA256 over path, parameters, expiry and the id of the token that asked.

    An address is worth no more than its token: it dies when that is revoked or expires.
    """

    def __init__(self, secret: bytes, seconds: int, token_id: str = "") -> None:
        self._secret = secret
        self._seconds = seconds
        self._token_id = token_id

    def of(self, token_id: str) -> "Signer":
        """Signs in the name of a token."""
        return Signer(self._secret, self._seconds, token_id)

    def sign(self, path: str, **params: str | int) -> str:
        """`path` with its parameters, the token's id, an expiry and a signature."""
        if not self._token_id:
            raise ValueError("an address is signed in the name of a token")
        expiry = int(time.time()) + self._seconds
        expiry += -expiry % ROUND_SECONDS
        given = {k: str(v) for k, v in params.items()}
        given |= {"tok": self._token_id, "exp": str(expiry)}
        return f"{path}?{urlencode(given)}&sig={self._digest(path, given)}"

    def signed_by(self, path: str, params: dict[str, str]) -> str | None:
        """Id of the token in whose name this service signed exactly this address.

        None if it did not, or if the address has expired.
        """
        given = dict(params)
        signature, expiry = given.pop("sig", ""), given.get("exp", "")
        # Compare before looking at the time: a forged address learns nothing about clocks.
        if not hmac.compare_digest(signature.encode(), self._digest(path, given).encode()):
            return None
        return given.get("tok") if int(expiry) >= time.time() else None

    def _digest(self, path: str, params: dict[str, str]) -> str:
        message = f"{path}?{urlencode(sorted(params.items()))}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def load_secret(path: Path) -> bytes:
    """The service's secret, made at its first start; processes that race agree on one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)  # unlike a rename, this fails if another was first
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    return bytes.fromhex(path.read_text())
