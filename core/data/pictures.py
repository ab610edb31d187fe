"""JPEG and PNG pictures from strangers: their header is judged before anything is decoded."""

import struct

import cv2
import numpy as np

MOST_PIXELS = 16 << 20
"""Of one frame. A small file can hold a picture that takes gigabytes."""
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD9)))


def kind_of(data: bytes) -> str | None:
    """`jpeg`, `png` or None, from the first bytes."""
    return "jpeg" if data.startswith(JPEG) else "png" if data.startswith(PNG) else None


def size_of(data: bytes) -> tuple[int, int]:
    """Height and width that the header says; `ValueError` if it is no JPEG or PNG, or too large."""
    kind = kind_of(data)
    try:
        if kind is None:
            raise ValueError("is neither JPEG nor PNG")
        height, width = _png_size(data) if kind == "png" else _jpeg_size(data)
    except (struct.error, IndexError) as error:
        raise ValueError("ends inside its header") from error
    if not 0 < height * width <= MOST_PIXELS:
        raise ValueError(f"is {width} x {height} pixels; frames have 1 to {MOST_PIXELS} pixels")
    return height, width


def decoded(data: bytes) -> np.ndarray:
    """The picture, (H, W, 3) u8 RGB; zeros may follow it. `ValueError` if it is not whole."""
    height, width = size_of(data)
    data = data.rstrip(b"\0")
    if data.startswith(JPEG) and not data.endswith(b"\xff\xd9"):
        raise ValueError("is a JPEG that ends early")
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError("cannot be decoded") from error
    if picture is None or picture.shape != (height, width, 3):
        raise ValueError("cannot be decoded")
    return picture


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """From the frame header (ITU T.81, B.2.2), past segments that say how long they are."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("has a broken JPEG header")
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE_MARKERS:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _SIZE_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
