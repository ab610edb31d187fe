"""HDF5 logs as labs write them, small; arrays are those of `makers.log` and `makers.per_frame`."""

import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import h5py
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

from tests.data.makers import Arrays

PACKED: dict[str, Any] = {"compression": "gzip", "shuffle": True, "fletcher32": True}


def robomimic(path: Path, logs: Sequence[Arrays], *, next_obs: bool = True, **env: Any) -> Path:
    """T + 1 frames become T rows of `obs` and of `next_obs`. Written out of order."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(len(one["action"]) for one in logs)
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "env_kwargs": env})
        for n in sorted(range(len(logs)), key=str):
            one, demo = logs[n], data.create_group(f"demo_{n}")
            demo.attrs["num_samples"] = len(one["action"])
            demo["actions"], demo["rewards"] = one["action"], one["reward"]
            demo["dones"] = one["done"].astype(np.int64)
            demo["states"] = one["state"][:-1]
            for group, rows in (("obs", slice(0, -1)), ("next_obs", slice(1, None))):
                if group == "obs" or next_obs:
                    demo.create_dataset(
                        f"{group}/agentview_image", data=one["image"][rows], **PACKED
                    )
                    demo[f"{group}/robot0_eef_pos"] = one["state"][rows]
                    demo[f"{group}/robot0_eef_quat"] = one["state"][rows] + 1
                    demo[f"{group}/robot0_gripper_qpos"] = one["state"][rows][:, :1]
        file["mask/valid"] = np.array([b"demo_1"])
    return path


def libero(path: Path, logs: Sequence[Arrays]) -> Path:
    """As robomimic, without `next_obs` and with other names."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Libero", "env_kwargs": {}})
        data.attrs["problem_info"] = json.dumps({"language_instruction": "open the drawer"})
        for n, one in enumerate(logs):
            demo = data.create_group(f"demo_{n}")
            demo["actions"] = one["action"]
            demo["obs/agentview_rgb"] = one["image"]
            demo["obs/eye_in_hand_rgb"] = one["image"][:, ::-1]
            demo["obs/joint_states"] = one["state"]
            demo["obs/gripper_states"] = one["state"][:, :1]
    return path


def aloha(folder: Path, logs: Sequence[Arrays], packed: str = "") -> Path:
    """A file per episode; `jpeg` and `png` pictures are padded with zeros to one length."""
    folder.mkdir(exist_ok=True)
    for n, one in enumerate(logs):
        with h5py.File(folder / f"episode_{n}.hdf5", "w") as file:
            file.attrs["sim"], file.attrs["compress"] = False, bool(packed)
            file["action"], file["observations/qpos"] = one["action"], one["state"]
            file["observations/qvel"] = one["state"] * 0
            for camera, frames in (("cam_high", one["image"]), ("cam_low", one["image"] // 2)):
                rows = padded(frames, packed) if packed else frames
                chunks = (1, *rows.shape[1:])
                file.create_dataset(f"observations/images/{camera}", data=rows, chunks=chunks)
    return folder


def padded(frames: np.ndarray, kind: str) -> np.ndarray:
    """(T, longest) u8: encoded pictures with zeros behind."""
    rows = [encoded(frame, kind) for frame in frames]
    longest = max(map(len, rows))
    return np.stack([np.frombuffer(r.ljust(longest, b"\0"), np.uint8) for r in rows])


def encoded(frame: np.ndarray, kind: str) -> bytes:
    done, data = cv2.imencode(f".{kind}", np.ascontiguousarray(frame[..., ::-1]))
    assert done
    return bytes(data)


def dreamer_v4(folder: Path, logs: Sequence[Arrays], per_shard: int = 2) -> Path:
    """Shards padded with zeros to the longest episode, `metadata.json` beside them."""
    folder.mkdir(exist_ok=True)
    for shard, first in enumerate(range(0, len(logs), per_shard)):
        part = logs[first : first + per_shard]
        longest = max(len(one["image"]) for one in part)
        with h5py.File(folder / f"shard_{shard:04d}.h5", "w") as file:
            file.attrs["num_episodes"] = len(part)
            file["episode_lengths"] = np.array([len(one["image"]) for one in part], np.int32)
            for key, name in (("images", "image"), ("actions", "action")):
                rows = np.zeros((len(part), longest, *part[0][name].shape[1:]), part[0][name].dtype)
                for n, one in enumerate(part):
                    rows[n, : len(one[name])] = one[name]
                chunks = (1, min(4, longest), *rows.shape[2:]) if key == "images" else None
                file.create_dataset(key, data=rows, chunks=chunks, compression="gzip")
    meta = {"relative_actions": True, "relative_mode": "action_delta", "image_shape": "N/A"}
    (folder / "metadata.json").write_text(json.dumps(meta))
    return folder


def stable_worldmodel(path: Path, logs: Sequence[Arrays], *, channels_first: bool = False) -> Path:
    """Flat rows; the last action of an episode is not a number."""
    lengths = [len(one["image"]) for one in logs]
    with h5py.File(path, "w") as file:
        pixels = np.concatenate([one["image"] for one in logs])
        if channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        file.create_dataset("pixels", data=pixels, chunks=(3, *pixels.shape[1:]), **PACKED)
        actions = [np.where(_is_last(one), np.nan, one["action"]) for one in logs]
        file["action"] = np.concatenate(actions).astype(np.float32)
        file["state"] = np.concatenate([one["state"] for one in logs])
        file["ep_len"] = np.array(lengths, np.int32)
        file["ep_offset"] = np.cumsum([0, *lengths[:-1]])
    return path


def _is_last(one: Arrays) -> np.ndarray:
    return (np.arange(len(one["action"])) == len(one["action"]) - 1)[:, None]


def minari_set(home: Path, logs: Sequence[Arrays]) -> Path:
    """Written by the minari library itself: T + 1 observations; pictures from 32 pixels on are
    JPEG."""
    side = logs[0]["image"].shape[1]
    observations = gymnasium.spaces.Dict(
        {
            "image": gymnasium.spaces.Box(0, 255, (side, side, 3), np.uint8),
            "state": gymnasium.spaces.Box(-99, 99, (3,), np.float32),
        }
    )
    buffers = [
        EpisodeBuffer(
            id=n,
            observations={"image": one["image"], "state": one["state"]},
            actions=one["action"],
            rewards=one["reward"].tolist(),
            terminations=one["done"].tolist(),
            truncations=np.zeros(len(one["done"]), bool).tolist(),
        )
        for n, one in enumerate(logs)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about authors and environments
        minari.create_dataset_from_buffers(
            "push-v0",
            buffers,
            observation_space=observations,
            action_space=gymnasium.spaces.Box(-9, 9, (2,), np.float32),
        )
    return home / "push-v0"


def hdf5_bytes(arrays: Arrays, **options: Any) -> bytes:
    """A file of arrays by their paths."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, values in arrays.items():
            file.create_dataset(path, data=values, **options)
    return buffer.getvalue()
