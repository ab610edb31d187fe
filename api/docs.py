"""The page that explains the API: everything on it comes from this service, so it works offline."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
"""Scripts from here only, none in the page itself; Swagger UI sets styles by script."""
_HEADERS = {"Content-Security-Policy": POLICY}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Foglab API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
});
"""
router = APIRouter(include_in_schema=False)


@router.get("/docs")
def page() -> HTMLResponse:
    """Swagger UI."""
    return HTMLResponse(_PAGE, headers=_HEADERS)


@router.get("/docs/start.js")
def start() -> Response:
    """What a page without scripts of its own needs."""
    return Response(_START, media_type="text/javascript")


@router.get("/docs/swagger-ui.js")
def script() -> FileResponse:
    """Swagger UI itself, as the package `fastapi-offline` carries it."""
    return FileResponse(_asset("swagger-ui-bundle.js"), media_type="text/javascript")


@router.get("/docs/swagger-ui.css")
def style() -> FileResponse:
    """Its looks."""
    return FileResponse(_asset("swagger-ui.css"), media_type="text/css")


def _asset(name: str) -> Path:
    return Path(str(files("fastapi_offline"))) / "static" / name
