"""The play page: three files. They hold no secret; the page asks for a token, or is handed one."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from api.deps import InstallationDep

FILES = {
    "/play": ("play.html", "text/html; charset=utf-8"),
    "/play/play.js": ("play.js", "text/javascript; charset=utf-8"),
    "/play/play.css": ("play.css", "text/css; charset=utf-8"),
}
"""Address to file and media type."""
_FOLDER = Path(__file__).parents[1] / "play"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

open_router = APIRouter(include_in_schema=False)


async def serve(request: Request, s: InstallationDep) -> FileResponse:
    """One file; dashboards may show the page in a frame."""
    name, media_type = FILES[request.scope["path"]]
    policy = " ".join([_POLICY, *s.settings.cors_origins])
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return FileResponse(_FOLDER / name, media_type=media_type, headers=headers)


for path in FILES:
    open_router.add_api_route(path, serve, methods=["GET"], response_class=FileResponse)
