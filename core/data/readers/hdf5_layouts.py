"""The layouts that labs use, and how each is told from the others."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from core.data.dataset import ActionKind
from core.data.readers.base import Aliases, Field, LogMeta, Rows, parts
from core.data.readers.hdf5_file import Hdf5
from core.data.readers.hdf5_layout import Layout, Place, integers, parsed, text_of, wrong_index
from core.data.readers.joined import WithLast, rows_of

_KINDS: dict[str, ActionKind] = {
    "True": "delta",
    "False": "absolute",
    "action_delta": "delta",
    "absolute": "absolute",
}
"""What `control_delta` (robosuite) and `relative_mode` (dreamer-v4) say."""
_EPISODE = re.compile(r"episode_\d+")


class Robomimic(Layout):
    """robomimic and LIBERO: groups `data/demo_<n>` with T rows of `obs/*`, `actions`, `rewards`."""

    name = "robomimic"
    aliases: ClassVar[Aliases] = {
        "image": ("obs/agentview_image", "obs/agentview_rgb", "obs/image"),
        "action": ("actions",),
        "state": (
            "obs/robot0_eef_pos, obs/robot0_eef_quat, obs/robot0_gripper_qpos",
            "obs/joint_states, obs/gripper_states",
            "obs/ee_states, obs/gripper_states",
        ),
        "reward": ("rewards",),
        "terminated": ("dones",),
    }

    def why(self, file: Hdf5) -> str | None:
        demos = [n for n in file.names("data") if file.is_array(f"data/{n}/actions")]
        return f"group data has {len(demos)} demos with actions and obs" if demos else None

    def places(self, file: Hdf5) -> Sequence[Place]:
        return [Place(f"data/{n}") for n in file.names("data")]

    def keys(self, file: Hdf5, place: Place) -> tuple[str, ...]:
        return tuple(k for k in super().keys(file, place) if not k.startswith("next_obs/"))

    def meta(self, file: Hdf5, beside: Mapping[str, Any]) -> LogMeta:
        env = parsed(file.attribute("data", "env_args"))
        problem = parsed(file.attribute("data", "problem_info"))
        settings = env.get("env_kwargs")
        settings = settings if isinstance(settings, dict) else {}
        controller = settings.get("controller_configs")
        is_delta = controller.get("control_delta") if isinstance(controller, dict) else None
        rate = settings.get("control_freq")
        return LogMeta(
            fps=float(rate) if isinstance(rate, int | float) and 0 < rate <= 1000 else None,
            action_kind=_KINDS.get(str(is_delta)),
            task=text_of(problem, "language_instruction") or text_of(env, "env_name"),
        )

    def opened(
        self, file: Hdf5, place: Place, fields: Mapping[Field, str], keys: Collection[str]
    ) -> dict[Field, Rows]:
        """With `next_obs`, its last row is the frame that the last action leads to."""
        found = super().opened(file, place, fields, keys)
        seen = [k for f in ("image", "state") if f in fields for k in parts(fields[f])]
        after = [k.replace("obs/", "next_obs/", 1) for k in seen if k.startswith("obs/")]
        if len(after) < len(seen) or not all(file.is_array(f"{place.group}/{k}") for k in after):
            return found
        for field in ("image", "state"):
            if field in fields:
                key = ", ".join(k.replace("obs/", "next_obs/", 1) for k in parts(fields[field]))
                later = rows_of(key, after, lambda k: self.rows(file, place, k))
                found[field] = WithLast(found[field], later)
        return found


class Minari(Layout):
    """Farama's Minari: groups `episode_<n>` with T + 1 observations and T of the rest."""

    name = "minari"
    aliases: ClassVar[Aliases] = {
        "image": ("observations/image", "observations/pixels", "observations/rgb"),
        "action": ("actions",),
        "state": ("observations/state", "observations/observation", "observations/proprio"),
        "reward": ("rewards",),
        "terminated": ("terminations",),
        "success": ("infos/success", "infos/is_success"),
    }

    def why(self, file: Hdf5) -> str | None:
        found = [n for n in file.names() if _EPISODE.fullmatch(n)]
        return f"{len(found)} groups are called episode_<n>" if found else None

    def places(self, file: Hdf5) -> Sequence[Place]:
        return [Place(n) for n in file.names() if _EPISODE.fullmatch(n)]

    def meta(self, file: Hdf5, beside: Mapping[str, Any]) -> LogMeta:
        return LogMeta(task=text_of(beside, "dataset_id"))


class DreamerV4(Layout):
    """dreamer-v4 shards: `images` (E, Tmax, H, W, C), padded after `episode_lengths`."""

    name = "dreamer-v4"
    aliases: ClassVar[Aliases] = {"image": ("images",), "action": ("actions",)}

    def why(self, file: Hdf5) -> str | None:
        if all(file.is_array(n) for n in ("images", "actions", "episode_lengths")):
            return "images and actions are padded to the longest of episode_lengths"
        return None

    def places(self, file: Hdf5) -> Sequence[Place]:
        lengths = integers(file, "episode_lengths")
        most = file.rows("images").shape[1:2]
        for n, length in enumerate(lengths):
            if not most or not 0 <= length <= most[0]:
                raise wrong_index(
                    "episode_lengths", f"says {length} for episode {n}, of {most} rows"
                )
        return [Place(rows=(0, length), lead=n) for n, length in enumerate(lengths)]

    def keys(self, file: Hdf5, place: Place) -> tuple[str, ...]:
        return tuple(k for k in file.arrays(depth=1) if k != "episode_lengths")

    def meta(self, file: Hdf5, beside: Mapping[str, Any]) -> LogMeta:
        return LogMeta(action_kind=_KINDS.get(str(beside.get("relative_mode"))))


class StableWorldmodel(Layout):
    """stable-worldmodel: flat rows of all episodes, found by `ep_len` and `ep_offset`."""

    name = "stable-worldmodel"
    aliases: ClassVar[Aliases] = {
        "image": ("pixels", "image"),
        "action": ("action", "actions"),
        "state": ("state", "proprio", "observation"),
        "reward": ("reward",),
        "terminated": ("terminated",),
        "success": ("success",),
    }
    _INDEX = ("ep_len", "ep_offset")

    def why(self, file: Hdf5) -> str | None:
        found = all(file.is_array(n) for n in self._INDEX)
        return "ep_len and ep_offset say which rows are an episode" if found else None

    def places(self, file: Hdf5) -> Sequence[Place]:
        lengths, starts = (integers(file, n) for n in self._INDEX)
        if len(lengths) != len(starts):
            raise wrong_index("ep_len", f"has {len(lengths)} rows, and ep_offset {len(starts)}")
        most = max((file.rows(k).shape[0] for k in self.keys(file, Place())), default=0)
        ends = [a + n for a, n in zip(starts, lengths, strict=True)]
        for n, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if not 0 <= start <= end <= most:
                raise wrong_index("ep_offset", f"puts episode {n} at rows {start} to {end}")
        return [Place(rows=rows) for rows in zip(starts, ends, strict=True)]

    def keys(self, file: Hdf5, place: Place) -> tuple[str, ...]:
        return tuple(k for k in file.arrays() if k not in self._INDEX)


class Aloha(Layout):
    """ALOHA and ACT: a file per episode with `action` and `observations/images/<camera>`."""

    name = "aloha"
    many = False
    aliases: ClassVar[Aliases] = {
        "image": tuple(f"observations/images/{c}" for c in ("top", "cam_high", "front")),
        "action": ("action",),
        "state": ("observations/qpos",),
    }

    def why(self, file: Hdf5) -> str | None:
        if file.is_array("action") and file.names("observations"):
            return "action lies beside the group observations"
        return None


class Single(Layout):
    """A file per episode with arrays of any name."""

    name = "one episode per file"
    many = False
    aliases: ClassVar[Aliases] = {}

    def why(self, file: Hdf5) -> str | None:
        found = [k for k in file.arrays() if k.rsplit("/", 1)[-1] in ("action", "actions")]
        return f"{found[0]} lies beside other arrays" if found else None


LAYOUTS: tuple[Layout, ...] = (
    Robomimic(), Minari(), StableWorldmodel(), DreamerV4(), Aloha(), Single()
)  # fmt: skip
