"""The service as Python calls; the command line and the dashboard use this and nothing else."""

from typing import Any, Self

import httpx

from foglab.calls.admin import AdminCalls
from foglab.calls.base import API
from foglab.calls.data import DataCalls
from foglab.calls.results import ResultCalls
from foglab.transport import ServiceError, Transport

__all__ = ["ServiceClient", "ServiceError"]


class ServiceClient(DataCalls, ResultCalls, AdminCalls):
    """Typed calls; each raises `ServiceError` and nothing else when the service says no.

    `patience` is for how many seconds a call repeats itself while the service does not answer.
    `public_url` is where a browser finds the service, if that is another address than `url`.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout: float = 30.0,
        patience: float = 5.0,
        public_url: str | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        transport = Transport(url, token, timeout=timeout, patience=patience, http=http)
        self.url = transport.url
        super().__init__(transport, (public_url or self.url).rstrip("/"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.http.close()

    def link(self, signed: str) -> str:
        """A `..._url` of a reply as an address that a browser's <video> can open."""
        return signed if "://" in signed else f"{self.public_url}{signed}"

    def health(self) -> dict[str, Any]:
        """`{"status": "ok"}` while the API process lives; needs no token."""
        return self._object("GET", "/healthz")

    def ready(self) -> dict[str, Any]:
        """Whether database and storage can be used; needs no token. 503 is an error."""
        return self._object("GET", "/readyz")

    def specs(self) -> dict[str, Any]:
        """For forms: `{"kinds": {kind: JSON schema}, "presets": {preset: {kind: fields}}}`."""
        return self._object("GET", f"{API}/specs")
