"""Bags of a small robot, written by the reference libraries."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

ROS1 = get_typestore(Stores.ROS1_NOETIC)
ROS2 = get_typestore(Stores.ROS2_HUMBLE)
START_NS = 1_700_000_000 * 10**9
IMAGE, PACKED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
TWIST, JOINTS = "geometry_msgs/msg/Twist", "sensor_msgs/msg/JointState"


@dataclass(frozen=True)
class Line:
    """One message: when it was written, in seconds, and its fields."""

    topic: str
    type: str
    seconds: float
    fields: dict[str, Any]
    stamp: float | None = None
    """What its header says, if that is another time."""


def drive(start: float = 0.0, length: int = 20, seed: int = 0, packed: bool = False) -> list[Line]:
    """Pictures at 10 Hz, commands at 20 Hz and joints at 50 Hz."""
    rng = np.random.default_rng(seed)
    lines = []
    for i, frame in enumerate(pictures(seed, length)):
        kind = PACKED if packed else IMAGE
        lines.append(Line("/camera", kind, start + i / 10, {"picture": frame}))
    for i in range(2 * length):
        seconds = start + i / 20
        lines.append(Line("/cmd_vel", TWIST, seconds, {"linear": seconds, "angular": -seconds}))
    for i in range(5 * length):
        seconds = start + i / 50
        position = np.array([seconds, 2 * seconds, rng.normal()])
        lines.append(Line("/joint_states", JOINTS, seconds, {"position": position}))
    return sorted(lines, key=lambda line: line.seconds)


def pictures(seed: int, length: int = 20, side: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (length, side, side, 3), dtype=np.uint8)


def ros2_mcap(path: Path, lines: Sequence[Line], **options: Any) -> Path:
    """A single MCAP file, as `ros2 bag record -s mcap` writes it."""
    with path.open("wb") as file:
        writer = McapWriter(file, **({"chunk_size": 20_000} | options))
        writer.start("ros2")
        channels: dict[str, int] = {}
        for line in lines:
            if line.topic not in channels:
                text, _ = ROS2.generate_msgdef(line.type, ros_version=2)
                schema = writer.register_schema(line.type, "ros2msg", text.encode())
                channels[line.topic] = writer.register_channel(line.topic, "cdr", schema)
            data = bytes(ROS2.serialize_cdr(message(ROS2, line), line.type))
            time = nanoseconds(line.seconds)
            writer.add_message(channels[line.topic], time, data, time)
        writer.finish()
    return path


def json_mcap(path: Path, lines: Sequence[tuple[str, float, dict[str, Any]]]) -> Path:
    """An MCAP file of JSON messages, as Foxglove's tools write it."""
    with path.open("wb") as file:
        writer = McapWriter(file, compression=CompressionType.NONE)
        writer.start("", "test")
        for topic, seconds, fields in lines:
            schema = writer.register_schema(topic, "jsonschema", b"{}")
            channel = writer.register_channel(topic, "json", schema)
            time = nanoseconds(seconds)
            writer.add_message(channel, time, json.dumps(fields).encode(), time)
        writer.finish()
    return path


def ros1_bag(path: Path, lines: Sequence[Line], compression: str | None = None) -> Path:
    writer = Ros1Writer(path)
    if compression:
        writer.set_compression(Ros1Writer.CompressionFormat[compression])
    with writer:
        connections: dict[str, Any] = {}
        for line in lines:
            if line.topic not in connections:
                connections[line.topic] = writer.add_connection(
                    line.topic, line.type, typestore=ROS1
                )
            data = bytes(ROS1.serialize_ros1(message(ROS1, line), line.type))
            writer.write(connections[line.topic], nanoseconds(line.seconds), data)
    return path


def ros2_bag(folder: Path, lines: Sequence[Line], storage: str = "SQLITE3") -> Path:
    """A folder with metadata.yaml, as `ros2 bag record` writes it."""
    with Ros2Writer(folder, version=9, storage_plugin=StoragePlugin[storage]) as writer:
        connections: dict[str, Any] = {}
        for line in lines:
            if line.topic not in connections:
                connections[line.topic] = writer.add_connection(
                    line.topic, line.type, typestore=ROS2
                )
            data = ROS2.serialize_cdr(message(ROS2, line), line.type)
            writer.write(connections[line.topic], nanoseconds(line.seconds), data)
    return folder


def nanoseconds(seconds: float) -> int:
    return START_NS + round(seconds * 1e9)


def message(store: Typestore, line: Line) -> Any:
    """The message object of the reference library."""
    make: dict[str, Callable[[Typestore, Line], Any]] = {
        IMAGE: _image,
        PACKED: _packed,
        TWIST: _twist,
        JOINTS: _joints,
    }
    return make[line.type](store, line)


def _header(store: Typestore, line: Line) -> Any:
    time = nanoseconds(line.seconds if line.stamp is None else line.stamp)
    stamp = store.types["builtin_interfaces/msg/Time"](sec=time // 10**9, nanosec=time % 10**9)
    sequence = {"seq": 0} if store is ROS1 else {}
    return store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="base", **sequence)


def _image(store: Typestore, line: Line) -> Any:
    frame = line.fields["picture"]
    encoding = line.fields.get("encoding", "rgb8")
    # Rows may be padded.
    rows = np.pad(frame.reshape(len(frame), -1), ((0, 0), (0, 5)))
    return store.types[IMAGE](
        header=_header(store, line),
        height=frame.shape[0],
        width=frame.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=rows.reshape(-1),
    )


def _packed(store: Typestore, line: Line) -> Any:
    _, data = cv2.imencode(".png", line.fields["picture"][..., ::-1])
    return store.types[PACKED](header=_header(store, line), format="png", data=data.reshape(-1))


def _twist(store: Typestore, line: Line) -> Any:
    vector = store.types["geometry_msgs/msg/Vector3"]
    linear, angular = line.fields["linear"], line.fields["angular"]
    return store.types[TWIST](
        linear=vector(x=linear, y=0.0, z=0.0), angular=vector(x=0.0, y=0.0, z=angular)
    )


def _joints(store: Typestore, line: Line) -> Any:
    position = np.asarray(line.fields["position"], np.float64)
    return store.types[JOINTS](
        header=_header(store, line),
        name=[f"joint_{i}" for i in range(len(position))],
        position=position,
        velocity=np.zeros(0),
        effort=np.zeros(0),
    )
