"""Small pictures of logs, as they would be stored, for a form to show."""

import base64

import cv2
import numpy as np

from core.data.episode import EpisodeError
from core.data.pixels import Layout, Range
from core.data.readers.base import Reader, RowSlice
from core.data.shaping import Shaping

_SIDE_PX = 160
_EPISODES = 3


def thumbnails(reader: Reader, shaping: Shaping) -> list[str]:
    """First frame of the first, the middle and the last episode that can be read, as data URIs."""
    count = len(reader.episodes)
    wanted = dict.fromkeys((0, count // 2, count - 1)) if count else {}
    found: list[str] = []
    scale = Range()
    for n in list(wanted)[:_EPISODES]:
        try:
            with reader.open(reader.episodes[n]) as fields:
                found.append(_data_uri(_picture(fields["image"], shaping, scale)))
        except (EpisodeError, KeyError):
            continue
    return found


def _picture(image: RowSlice, shaping: Shaping, scale: Range) -> np.ndarray:
    """(H, W, 3) u8 RGB, no side longer than a thumbnail's."""
    layout = Layout.of(image.shape)
    height, width = shaping.size(layout)
    shrink = min(1.0, _SIDE_PX / max(height, width))
    small = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    frame = scale.to_u8(image.read(0, 1), 0)
    return np.asarray(shaping.apply(frame, layout, *small)[0])


def _data_uri(picture: np.ndarray) -> str:
    _, packed = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]))
    return "data:image/jpeg;base64," + base64.b64encode(packed.tobytes()).decode()
