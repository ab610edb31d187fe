"""What every call of the client does with the service's answer."""

import uuid
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter

from core.jobs.replies import Reply
from foglab import tus
from foglab.transport import Transport, problem

API = "/api/v1"
PAGE = 500
"""Most items that the service lists at once; longer lists are read page by page."""
R = TypeVar("R", bound=Reply)
_objects: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class Calls:
    """A part of the client: calls that send their requests by one transport."""

    def __init__(self, transport: Transport, public_url: str) -> None:
        self._transport = transport
        self.public_url = public_url

    def _object(self, method: str, path: str, **kw: Any) -> dict[str, Any]:
        return _objects.validate_python(self._transport.json(method, path, **kw))

    def _get(self, model: type[R], path: str) -> R:
        found = model.model_validate(self._object("GET", path))
        found._site = self.public_url
        return found

    def _list(self, model: type[R], path: str, **params: object) -> list[R]:
        wanted, found = params.get("limit"), list[R]()
        asked = given(**params)
        while True:
            if isinstance(wanted, int):
                asked["limit"] = min(wanted - len(found), PAGE)
            page = self._object("GET", path, params=asked)
            found += [model.model_validate(item) for item in page["items"]]
            asked["cursor"] = page.get("next")
            if asked["cursor"] is None or (isinstance(wanted, int) and len(found) >= wanted):
                return found

    def _post(self, path: str, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        # With a key the service makes one job of any number of repeats, so repeating is safe.
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._object("POST", path, json=given(**body), headers=headers)

    def _download(
        self,
        path: str,
        target: Path,
        progress: tus.Listener | None = None,
        params: dict[str, Any] | None = None,
    ) -> Path:
        partial = target.with_name(f".{target.name}.part")
        stream = self._transport.http.stream("GET", path, params=params)
        try:
            with stream as response, partial.open("wb") as file:
                if response.is_error:
                    response.read()
                    raise problem(response)
                size = int(response.headers.get("Content-Length", 0))
                for block in response.iter_bytes(1 << 20):
                    file.write(block)
                    if progress is not None:
                        progress(file.tell(), size)
            return partial.replace(target)
        except httpx.TransportError as error:
            raise self._transport.unreachable(error) from error
        finally:
            partial.unlink(missing_ok=True)


def given(**values: object) -> dict[str, Any]:
    """The values that are not None."""
    return {k: v for k, v in values.items() if v is not None}
