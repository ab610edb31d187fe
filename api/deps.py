"""What handlers ask for: the services, the caller, a page of a listing."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import TypeAdapter, ValidationError

from api.errors import Problem
from api.settings import Settings
from api.signing import Signer
from api.uploads import Uploads
from core.artifacts import Artifacts
from core.jobs.records import Token
from core.jobs.spec import ArtifactId
from core.jobs.store import Store


@dataclass(frozen=True)
class Services:
    """Made once when the application starts."""

    settings: Settings
    store: Store
    artifacts: Artifacts
    uploads: Uploads
    signer: Signer


async def services(request: Request) -> Services:
    """The services of the running application. Async, because it needs no thread."""
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]
_bearer = HTTPBearer(auto_error=False, description="A token made by `foglab token create`")
CredentialsDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
_SAFE = frozenset({"GET", "HEAD"})


def caller(request: Request, s: ServicesDep, credentials: CredentialsDep) -> Token:
    """The token of a request: 401 without a valid one, 403 if its scopes do not allow this."""
    if credentials is None:
        raise _unauthorized("A token is required", "Send the header 'Authorization: Bearer …'")
    token = s.store.check_token(credentials.credentials)
    if token is None:
        raise _unauthorized(
            "The token is not valid", "It is unknown, expired or revoked", 'error="invalid_token"'
        )
    needed = "read" if request.method in _SAFE else "write"
    if needed not in token.scopes and "admin" not in token.scopes:
        raise Problem(403, "The token does not allow this", f"It lacks the scope {needed!r}")
    return token


def caller_or_signature(request: Request, s: ServicesDep, credentials: CredentialsDep) -> None:
    """For what a <video> tag loads: a valid token, or an address that this service signed."""
    params = dict(request.query_params)
    if "sig" not in params:
        caller(request, s, credentials)
    elif len(params) != len(request.query_params.multi_items()) or not s.signer.valid(
        request.scope["path"], params
    ):
        raise Problem(403, "The address is not valid", "It has expired or was changed")


CallerDep = Annotated[Token, Depends(caller)]
LimitQuery = Annotated[int, Query(ge=1, le=500, description="Most items in the reply")]
CursorQuery = Annotated[
    int | None, Query(ge=0, le=2**62, description="`next` of the page before this one")
]
IdempotencyKey = Annotated[
    str | None,
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


def _unauthorized(title: str, detail: str, extra: str = "") -> Problem:
    return Problem(401, title, detail, headers={"WWW-Authenticate": f"Bearer {extra}".strip()})
