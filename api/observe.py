"""How long requests take, by route."""

from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from starlette.types import Scope

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Latencies:
    """A histogram for `/metrics`; routes by their template, so that ids make no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "foglab_request_seconds",
            "Time of requests from first to last byte.",
            ("route", "method", "status"),
            registry=registry,
            buckets=_SECONDS,
        )
        self._series: dict[tuple[str, str, str], Any] = {}

    def add(self, scope: Scope, status: int, seconds: float) -> None:
        """One request; `status` 0 where the client was gone before an answer."""
        key = (_route(scope), scope.get("method", "WEBSOCKET")[:10], f"{status // 100}xx")
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._seconds.labels(*key)
        series.observe(seconds)


def _route(scope: Scope) -> str:
    """Template of the route, as in the contract; `none` where no route was found."""
    if "endpoint" not in scope:
        return "none"
    names = {str(value): f"{{{name}}}" for name, value in scope.get("path_params", {}).items()}
    return "/".join(names.get(part, part) for part in scope["path"].split("/"))
