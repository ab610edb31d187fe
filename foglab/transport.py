"""HTTP with one error type, and patience for a service that is being restarted."""

import time
from collections.abc import Callable
from typing import Any

import httpx


class ServiceError(Exception):
    """The service refused or could not be reached; `str()` is a readable sentence.

    `status` is the HTTP status, 0 when there was no answer. `errors` lists wrong fields.
    """

    def __init__(
        self, status: int, title: str, detail: str = "", errors: list[dict[str, Any]] | None = None
    ) -> None:
        self.status, self.title, self.detail, self.errors = status, title, detail, errors or []
        super().__init__(status, title, detail)

    def __str__(self) -> str:
        fields = "; ".join(f"{e.get('field')}: {e.get('message')}" for e in self.errors)
        parts = [self.title, self.detail if self.detail != self.title else "", fields]
        return ". ".join(p.rstrip(".") for p in parts if p) + "."


def problem(response: httpx.Response) -> ServiceError:
    """The error that a refused response stands for; its body must have been read."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    title = body.get("title") or f"The service answered {response.status_code}"
    return ServiceError(
        response.status_code, str(title), str(body.get("detail", "")), body.get("errors")
    )


class Transport:
    """An httpx client that repeats a request while the service is down or busy."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout: float = 30.0,
        patience: float = 5.0,
        http: httpx.Client | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.patience = patience
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = http or httpx.Client(base_url=self.url, timeout=timeout)
        self.http.headers.update(headers)

    def request(self, method: str, path: str, *, repeat: bool = True, **kw: Any) -> httpx.Response:
        """Send one request; `repeat` says that sending it twice does no harm."""
        return self.patiently(lambda: self._once(method, path, **kw), repeat)

    def json(self, method: str, path: str, **kw: Any) -> Any:
        """Send one request and decode the JSON answer."""
        return self.request(method, path, **kw).json()

    def patiently(self, send: Callable[[], httpx.Response], repeat: bool = True) -> httpx.Response:
        """Call `send` until it works, is refused, or patience is at its end."""
        deadline, pause = time.monotonic() + self.patience, 0.2
        while True:
            try:
                return send()
            except ServiceError as error:
                # 503 is refused before any work, so it may be repeated whatever the method.
                again = error.status == 503 or (repeat and error.status in {0, 502, 504})
                if not again or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 1.6, 3.0)

    def _once(self, method: str, path: str, **kw: Any) -> httpx.Response:
        try:
            response = self.http.request(method, path, **kw)
        except httpx.TransportError as error:
            raise self.unreachable(error) from error
        if response.is_error:
            raise problem(response)
        return response

    def unreachable(self, error: Exception) -> ServiceError:
        """The error for a request that got no answer."""
        detail = str(error) or type(error).__name__
        return ServiceError(
            0, f"The service at {self.url} does not answer", f"{detail}. Is `foglab up` running?"
        )
