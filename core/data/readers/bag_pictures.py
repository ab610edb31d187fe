"""Pictures in ROS messages: packed ones, and raw ones of the usual encodings."""

import cv2
import numpy as np

from core.data.episode import EpisodeError
from core.data.pictures import MOST_PIXELS, decoded, kind_of
from core.data.readers.bag_file import Bag
from core.data.readers.files import damaged
from core.data.readers.ros_messages import Message, MessageError

_PLAIN = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "8UC1": 1, "8UC3": 3}
"""Encoding to bytes per pixel (sensor_msgs/image_encodings)."""
_MIXED = {
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUYV),
}
"""Encoding to bytes per pixel and what OpenCV calls it."""


def is_picture(type_name: str) -> bool:
    """Whether messages of a type hold a picture."""
    package, _, name = type_name.replace("/msg/", "/").partition("/")
    return package == "sensor_msgs" and name in ("Image", "CompressedImage")


def picture(message: Message) -> np.ndarray:
    """(H, W, 3) u8 RGB; `MessageError` if it is of another kind or not whole."""
    try:
        data = np.asarray(message["data"], np.uint8)
        if "encoding" not in message:
            return decoded(data.tobytes())
        height, width, step = (int(message[k]) for k in ("height", "width", "step"))
    except (KeyError, TypeError) as error:
        raise MessageError(f"has no {error}, which pictures have") from error
    except ValueError as error:
        raise MessageError(str(error)) from error
    encoding = str(message["encoding"])
    depth = _PLAIN.get(encoding) or _MIXED.get(encoding, (0, 0))[0]
    if not depth:
        known = ", ".join((*_PLAIN, *_MIXED))
        raise MessageError(f"is a picture in {encoding[:40]!r}, which is not read; known: {known}")
    if not 0 < height * width <= MOST_PIXELS or step < width * depth or data.size < height * step:
        raise MessageError(
            f"says {width} x {height} pixels of {depth} bytes and rows of {step}, and holds "
            f"{data.size} bytes"
        )
    rows = data[: height * step].reshape(height, step)[:, : width * depth]
    return _colours(rows.reshape(height, width, depth), encoding)


def _colours(pixels: np.ndarray, encoding: str) -> np.ndarray:
    if encoding in _MIXED:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), _MIXED[encoding][1]))
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    # OpenCV's own order is what 8UC3 means.
    backwards = encoding.startswith("bgr") or encoding == "8UC3"
    return pixels[..., 2::-1] if backwards else pixels[..., :3]


class BagPictures:
    """The pictures of one topic at some places, (N, H, W, 3) u8 RGB."""

    dtype = np.dtype(np.uint8)

    def __init__(
        self, bag: Bag, name: str, topic: str, places: np.ndarray, size: tuple[int, int]
    ) -> None:
        self.shape = (len(places), *size, 3)
        self._bag = bag
        self._name = name
        self._topic = topic
        self._places = places

    def read(self, start: int, stop: int) -> np.ndarray:
        frames = np.empty((stop - start, *self.shape[1:]), np.uint8)
        for i, (a, b) in enumerate(self._places[start:stop].tolist()):
            try:
                found = picture(
                    self._bag.decode(self._topic, self._bag.message(self._topic, (a, b)))
                )
            except (MessageError, EpisodeError) as error:
                raise self._wrong(start + i, str(error)) from error
            if found.shape != self.shape[1:]:
                raise self._wrong(start + i, f"it turns to {found.shape[1]} x {found.shape[0]}")
            frames[i] = found
        return frames

    def _wrong(self, frame: int, why: str) -> EpisodeError:
        error = damaged(f"{self._name}, {self._topic}, picture {frame}", why)
        error.frame = frame
        return error


def dtype_of(message: Message) -> str:
    """How a picture is packed: `jpeg`, `png`, or the raw encoding."""
    if "encoding" in message:
        return str(message["encoding"])
    return kind_of(bytes(np.asarray(message.get("data", []), np.uint8)[:16])) or "unknown"
