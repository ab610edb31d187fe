"""Messages between the API, the simulator process and browsers: a JSON header and plain bytes.

A message is the header's length (4 bytes, big-endian), the header, the bytes. On a stream the
length of all that comes first (4 bytes); a WebSocket keeps messages apart by itself.
"""

import json
import os
import struct
import tempfile
from asyncio import IncompleteReadError, StreamReader
from hashlib import sha256
from pathlib import Path
from typing import Any

Header = dict[str, Any]
Message = tuple[Header, bytes]

_LENGTH = struct.Struct(">I")
MOST_BYTES = 256 << 20
_SOCKET_PATH_BYTES = 100  # Linux allows 107


class Broken(ValueError):
    """Bytes that are not a message."""


def pack(header: Header, body: bytes = b"") -> bytes:
    """One message."""
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    return b"".join((_LENGTH.pack(len(text)), text, body))


def unpack(message: bytes) -> Message:
    """Header and bytes; raises `Broken`."""
    try:
        (length,) = _LENGTH.unpack_from(message)
        header = json.loads(message[4 : 4 + length])
    except (struct.error, ValueError) as error:
        raise Broken(f"not a message: {error}") from error
    if not isinstance(header, dict) or len(message) < 4 + length:
        raise Broken("not a message: it is cut off, or its header is no object")
    return header, message[4 + length :]


def framed(header: Header, body: bytes = b"") -> bytes:
    """One message as a stream carries it."""
    message = pack(header, body)
    return _LENGTH.pack(len(message)) + message


async def read(reader: StreamReader) -> Message | None:
    """The next message of a stream, None at its end; raises `Broken`."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(4))
        if length > MOST_BYTES:
            raise Broken(f"a message of {length} bytes")
        return unpack(await reader.readexactly(length))
    except (IncompleteReadError, ConnectionError):
        return None


def simulator_socket(home: Path) -> Path:
    """`run/simulator.sock` under home, or a short path that depends on home only.

    The kernel refuses longer ones. The folder of the short path is made by who listens, private.
    """
    path = home.absolute() / "run" / "simulator.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        return path
    digest = sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"foglab-{os.getuid()}-{digest}" / "simulator.sock"
