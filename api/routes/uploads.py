"""Resumable uploads (tus 1.0: core, creation, checksum, termination)."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from anyio import CancelScope
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic.json_schema import SkipJsonSchema
from starlette.requests import ClientDisconnect

from api.deps import LimitQuery, Services, ServicesDep, known_id
from api.errors import Problem
from api.uploads import Announced, Writer
from api.views import when
from core.jobs.replies import Reply, StoredUpload, Upload

BUFFER = 1 << 20
MEDIA_TYPE = "application/offset+octet-stream"
TUS = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}
EXTENSIONS = "creation,checksum,termination"

router = APIRouter(prefix="/uploads", tags=["uploads"])


# Named in the contract, but refused by ourselves: another version is 412.
TusHeader = Annotated[str, Header(json_schema_extra={"enum": ["1.0.0"]})]


async def tus_version(tus_resumable: TusHeader = "1.0.0") -> None:
    """412 for a client that speaks another version."""
    if tus_resumable != "1.0.0":
        told = f"This service speaks tus 1.0.0, not {tus_resumable[:20]!r}"
        raise Problem(412, "Unsupported tus version", told, headers={"Tus-Version": "1.0.0"})


TusVersion = Depends(tus_version)


@router.options("", status_code=204, dependencies=[TusVersion])
def capabilities(s: ServicesDep) -> Response:
    """What this service can do with uploads."""
    headers = {
        "Tus-Version": "1.0.0",
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(s.settings.max_upload_bytes),
        "Tus-Checksum-Algorithm": "sha256",
    }
    return Response(status_code=204, headers=TUS | headers)


@router.post("", status_code=201, response_class=Response, dependencies=[TusVersion])
def create(
    s: ServicesDep,
    upload_length: Annotated[int, Header(ge=0, le=2**62, description="Bytes of the file")],
    upload_metadata: Annotated[
        str, Header(max_length=4096, description="tus metadata: filename, sha256 (hex, checked)")
    ] = "",
) -> Response:
    """Announce a file; its bytes go to the address in `Location`."""
    most = s.settings.max_upload_bytes
    if upload_length > most:
        raise Problem(413, "The file is too large", f"An upload has at most {most} bytes")
    given = _metadata(upload_metadata)
    sha256 = given.get("sha256")
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise Problem(400, "Wrong metadata", "sha256 is not 64 lower-case hexadecimal digits")
    filename = re.sub(r"[\x00-\x1f\x7f/\\]", "_", given.get("filename", ""))[:255] or "upload"
    upload_id = s.uploads.create(
        Announced(filename, upload_length, sha256), s.settings.upload_quota_bytes
    )
    if upload_length == 0:
        settled(s, upload_id)
    return Response(status_code=201, headers=TUS | {"Location": f"/api/v1/uploads/{upload_id}"})


class UploadPage(Reply):
    """Newest first."""

    items: list[StoredUpload]


@router.get("")
def list_uploads(s: ServicesDep, limit: LimitQuery = 100) -> UploadPage:
    """Finished uploads that take up room."""
    found = s.store.list_uploads(limit)
    return UploadPage(
        items=[
            StoredUpload(
                id=u.id,
                filename=u.filename,
                size=u.size,
                sha256=u.sha256,
                created_at=when(u.created_at),
            )
            for u in found
        ]
    )


@router.head("/{upload_id}", dependencies=[TusVersion])
def offset(upload_id: str, s: ServicesDep) -> Response:
    """How many bytes have arrived, to go on from there."""
    upload = settled(s, known_id(upload_id))
    sizes = {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.size)}
    return Response(status_code=200, headers=TUS | sizes)


@router.get("/{upload_id}")
def get(upload_id: str, s: ServicesDep) -> Upload:
    """State of an upload; `sha256` once it is complete."""
    return settled(s, known_id(upload_id))


@router.patch(
    "/{upload_id}",
    status_code=204,
    dependencies=[TusVersion],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def append(
    upload_id: str,
    request: Request,
    s: ServicesDep,
    upload_offset: Annotated[int, Header(ge=0, le=2**62, description="Where the bytes belong")],
    upload_checksum: Annotated[
        str | SkipJsonSchema[None],
        Header(
            json_schema_extra={"pattern": "^sha256 [A-Za-z0-9+/]{43}=$"},
            description="`sha256 <base64>` of this request's bytes",
        ),
    ] = None,
) -> Response:
    """Append bytes. 409 at a wrong offset and 460 for a wrong checksum change nothing."""
    if request.headers.get("content-type") != MEDIA_TYPE:
        raise Problem(415, "Wrong media type", f"Content-Type must be {MEDIA_TYPE}")
    checksum = _checksum(upload_checksum)
    known_id(upload_id)
    async with _writer(s, upload_id, upload_offset) as writer:
        try:
            await _receive(request, writer)
        except ClientDisconnect:
            if checksum is not None:  # an unfinished chunk cannot be checked
                await run_sync(writer.take_back)
            return Response(status_code=204)
        except OSError:  # the disk is full: a chunk that cannot be checked is not kept
            if checksum is not None:
                await run_sync(writer.take_back)
            raise
        await run_sync(writer.commit, checksum)
        reached = writer.offset
    if reached == writer.announced.size:
        await run_sync(settled, s, upload_id)
    return Response(status_code=204, headers=TUS | {"Upload-Offset": str(reached)})


@router.delete("/{upload_id}", status_code=204, dependencies=[TusVersion])
def terminate(upload_id: str, s: ServicesDep) -> Response:
    """Give up an unfinished upload, or free the place of a finished one: its datasets stay.

    409 while a job is about to read it.
    """
    settled(s, known_id(upload_id))
    s.uploads.remove(upload_id)
    return Response(status_code=204, headers=TUS)


@asynccontextmanager
async def _writer(s: Services, upload_id: str, at: int) -> AsyncIterator[Writer]:
    """`Uploads.writer` for an async handler: opened, and always closed, in a thread."""
    manager = s.uploads.writer(upload_id, at)
    writer: Writer = await run_sync(manager.__enter__)
    try:
        yield writer
    finally:
        with CancelScope(shield=True):
            await run_sync(manager.__exit__, None, None, None)


async def _receive(request: Request, writer: Writer) -> None:
    """Write the body as it comes; when the client breaks off, what has come is written."""
    buffer = bytearray()
    try:
        async for data in request.stream():
            buffer += data
            if len(buffer) >= BUFFER:
                full, buffer = buffer, bytearray()
                await run_sync(writer.write, full)
    except ClientDisconnect:
        await run_sync(writer.write, buffer)
        raise
    await run_sync(writer.write, buffer)


def settled(s: Services, upload_id: str) -> Upload:
    """The upload; a complete one is listed in the database, as its last step."""
    upload = s.uploads.settle(upload_id)
    if upload.complete and upload.sha256 is not None:
        s.store.register_upload(upload.id, upload.filename, upload.size, upload.sha256)
    return upload


def _metadata(header: str) -> dict[str, str]:
    try:
        pairs = [pair.split(" ", 1) for pair in header.split(",") if pair.strip()]
        return {
            p[0].strip(): b64decode(p[1] if len(p) > 1 else "", validate=True).decode()
            for p in pairs
        }
    except (Base64Error, UnicodeError, ValueError):
        raise Problem(400, "Wrong metadata", "Upload-Metadata is 'key base64,key base64'") from None


def _checksum(header: str | None) -> bytes | None:
    if header is None:
        return None
    algorithm, _, value = header.partition(" ")
    try:
        if algorithm != "sha256":
            raise ValueError
        return b64decode(value, validate=True)
    except (Base64Error, ValueError):
        told = "Upload-Checksum is 'sha256 <base64 of the digest>'"
        raise Problem(400, "Unsupported checksum", told) from None
