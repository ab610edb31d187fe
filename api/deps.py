"""What handlers ask for: the services as their caller may use them, a page of a listing.

`ServicesDep` sees the caller's project and nothing else, so a handler cannot reach another's
rows by mistake. `InstallationDep` sees all: for health, and for whoever runs the installation.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ParamSpec, TypeVar
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from fastapi import Depends, Header, Query
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import SkipJsonSchema

from api.errors import Problem
from api.heartbeats import Heartbeats
from api.limits import FailedLogins, Rates
from api.readiness import Readiness
from api.settings import Settings
from api.signing import Signer
from api.simulator import Simulator
from api.storage import Sizes
from api.uploads import Uploads
from core.artifacts import Artifacts
from core.jobs.records import Token
from core.jobs.rows import DEFAULT_PROJECT
from core.jobs.spec import ArtifactId
from core.jobs.store import Store

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """Made once when the application starts; `of` gives what one caller may use."""

    settings: Settings
    store: Store
    artifacts: Artifacts
    uploads: Uploads
    signer: Signer
    sizes: Sizes
    simulator: Simulator
    failed_logins: FailedLogins
    rates: Rates
    heartbeats: Heartbeats
    readiness: Readiness

    def of(self, token: Token) -> "Services":
        """With the rows and uploads of the token's project only, signing in its name."""
        store = self.store.of(token.project)
        uploads = Uploads(self.artifacts, store)
        return replace(self, store=store, uploads=uploads, signer=self.signer.of(token.id))


class Bearer(HTTPBearer):
    """The header of a request, or of the handshake of a WebSocket."""

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        scheme, value = get_authorization_scheme_param(request.headers.get("Authorization"))
        if scheme.lower() != "bearer" or not value:
            return None
        return HTTPAuthorizationCredentials(scheme=scheme, credentials=value)


async def installation(connection: HTTPConnection) -> Services:
    """The services of the running application. Async, because it needs no thread."""
    found: Services = connection.app.state.services
    return found


InstallationDep = Annotated[Services, Depends(installation)]
_bearer = Bearer(auto_error=False, description="A token made by `foglab token create`")
CredentialsDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
log = logging.getLogger("foglab.api")
_SAFE = frozenset({"GET", "HEAD"})


async def caller(
    connection: HTTPConnection, s: InstallationDep, credentials: CredentialsDep
) -> Token:
    """The token of a request: 401 without a valid one, 403 if its scopes do not allow this."""
    if credentials is None:
        raise _unauthorized("A token is required", "Send the header 'Authorization: Bearer …'")
    token = await look_up(s, s.store.check_token, credentials.credentials)
    if token is None:
        _count_failure(connection, s)
        raise _unauthorized(
            "The token is not valid", "It is unknown, expired or revoked", 'error="invalid_token"'
        )
    _admit(connection, s, token)
    if connection.scope["type"] == "websocket":
        _check_origin(connection, s.settings.cors_origins)
    _require(token, "read" if connection.scope.get("method") in _SAFE else "write")
    return token


async def caller_or_signature(
    connection: HTTPConnection,
    s: InstallationDep,
    credentials: CredentialsDep,
    sig: Annotated[
        str | SkipJsonSchema[None], Query(description="Signature, instead of a token")
    ] = None,
    tok: Annotated[
        str | SkipJsonSchema[None], Query(description="Token that the signature stands for")
    ] = None,
    exp: Annotated[
        str | SkipJsonSchema[None], Query(description="Unix seconds of the signature's end")
    ] = None,
) -> Token:
    """For what a <video> tag loads: a valid token, or an address signed in the name of one.

    `tok` and `exp` are named for the documentation; the signature covers all parameters there are.
    """
    params = dict(connection.query_params)
    if not sig:
        return await caller(connection, s, credentials)
    doubled = len(params) != len(connection.query_params.multi_items())
    signed_by = None if doubled else s.signer.signed_by(connection.scope["path"], params)
    token = None if signed_by is None else await look_up(s, s.store.valid_token, signed_by)
    if token is None:
        _count_failure(connection, s)
        told = "It has expired or was changed, or the token that asked for it is not valid any more"
        raise Problem(403, "The address is not valid", told)
    if connection.scope["type"] == "websocket":
        _check_origin(connection, s.settings.cors_origins)
        _require(token, "write")
    _admit(connection, s, token)
    return token


CallerDep = Annotated[Token, Depends(caller)]
SignedCallerDep = Annotated[Token, Depends(caller_or_signature)]


async def services(s: InstallationDep, token: CallerDep) -> Services:
    """What the caller's project may use."""
    return s.of(token)


async def signed_services(s: InstallationDep, token: SignedCallerDep) -> Services:
    """The same for addresses that may be signed."""
    return s.of(token)


async def admin(token: CallerDep) -> Token:
    """403 unless the token may manage its project's tokens."""
    _require(token, "admin")
    return token


async def operator(token: CallerDep) -> Token:
    """403 unless the token is of the default project, whose callers run the installation."""
    if token.project != DEFAULT_PROJECT:
        told = f"Only tokens of the project {DEFAULT_PROJECT!r} may see the whole installation"
        raise Problem(403, "The token does not allow this", told)
    return token


ServicesDep = Annotated[Services, Depends(services)]
SignedServicesDep = Annotated[Services, Depends(signed_services)]
AdminDep = Annotated[Token, Depends(admin)]
LimitQuery = Annotated[int, Query(ge=1, le=500, description="Most items in the reply")]
CursorQuery = Annotated[
    int | None, Query(ge=0, le=2**62, description="`next` of the page before this one")
]
WithProducts = Annotated[bool, Query(description="Delete all that was made of it, too")]
RangeHeader = Annotated[
    str | SkipJsonSchema[None],
    Header(
        pattern=r"^bytes=(\d{1,15}-\d{0,15}|-\d{1,15})(, ?(\d{1,15}-\d{0,15}|-\d{1,15})){0,30}$",
        description="Bytes to send, as in `bytes=0-99`",
    ),
]
IdempotencyKey = Annotated[
    str | SkipJsonSchema[None],
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeating a request with the same key makes nothing twice",
    ),
]
_id_adapter: TypeAdapter[str] = TypeAdapter(ArtifactId)


def known_id(text: str) -> str:
    """An id from a path; anything that cannot be one is simply not found."""
    try:
        return _id_adapter.validate_python(text)
    except ValidationError:
        raise Problem(404, "Not found", f"{text[:80]!r} is not an id") from None


def _check_origin(connection: HTTPConnection, allowed: Sequence[str]) -> None:
    """CORS does not cover WebSockets: a browser's must come from a page of ours."""
    origin = connection.headers.get("Origin")
    own = origin is not None and urlsplit(origin).netloc == connection.headers.get("Host")
    if origin is not None and not own and origin not in allowed:
        raise Problem(403, "The page may not connect", "Its origin is not in FOGLAB_CORS_ORIGINS")


async def look_up(s: Services, find: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A hop to a thread costs as much as a look-up, so it is made only where one may wait."""
    if s.store.database.waits_for_nobody:
        return find(*args, **kwargs)
    return await run_sync(partial(find, *args, **kwargs))


def _admit(connection: HTTPConnection, s: Services, token: Token) -> None:
    """429 for a token that asks too often; notes who asks for the log."""
    connection.state.log = {"token": token.id, "project": token.project}
    wait = s.rates.take(token.id)
    if wait:
        raise _too_often("Too many requests", "This token asks more often than it may", wait)


def _count_failure(connection: HTTPConnection, s: Services) -> None:
    """A valid token is taken whatever happened before, so nobody can lock another one out."""
    address = connection.client.host if connection.client else ""
    log.warning("wrong credentials", extra={"address": address})
    wait = s.failed_logins.count(address)
    if wait:
        raise _too_often("Too many wrong tokens", "From this address, within a minute", wait)


def _too_often(title: str, detail: str, wait: float) -> Problem:
    return Problem(429, title, detail, headers={"Retry-After": str(math.ceil(wait))})


def _require(token: Token, scope: str) -> None:
    if not token.allows(scope):
        raise Problem(403, "The token does not allow this", f"It lacks the scope {scope!r}")


def _unauthorized(title: str, detail: str, extra: str = "") -> Problem:
    return Problem(401, title, detail, headers={"WWW-Authenticate": f"Bearer {extra}".strip()})
