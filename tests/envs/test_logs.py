"""Made logs: what they hold, and that a seed repeats them byte for byte."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.envs.logs import make_logs
from core.envs.push_disc import reward


def episodes(path: Path) -> list[dict[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.endswith(".npz")]
        return [
            dict(np.load(io.BytesIO(archive.read(n)), allow_pickle=False)) for n in sorted(names)
        ]


def test_logs_hold_whole_episodes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_logs("push_disc", 2, tmp_path / "a.zip", image_size=32, progress=lambda *p: seen.append(p))
    assert seen == [(1, 2), (2, 2)]
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        meta = json.loads(archive.read("meta.json"))
        assert all(i.compress_type == zipfile.ZIP_STORED for i in archive.infolist())
    assert meta == {"task": "push_disc", "fps": 10, "action_kind": "delta"}
    for episode in episodes(tmp_path / "a.zip"):
        kinds = {k: (v.shape, v.dtype.name) for k, v in episode.items()}
        assert kinds == {
            "image": ((81, 32, 32, 3), "uint8"),
            "action": ((80, 2), "float32"),
            "reward": ((80,), "float32"),
            "terminated": ((80,), "bool"),
            "state": ((81, 4), "float32"),
            "success": ((81,), "bool"),
        }
        xy = (episode["state"][1:].astype(np.float64) + 1) * 256
        np.testing.assert_allclose(episode["reward"], reward(xy[:, :2], xy[:, 2:]), atol=1e-4)
        assert np.abs(episode["action"]).max() <= 1


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_logs("push_disc", 2, tmp_path / name, image_size=16, seed=seed)
    a, b, c = ((tmp_path / n).read_bytes() for n in "abc")
    assert a == b
    assert a != c


def test_push_t_makes_logs_too(tmp_path: Path) -> None:
    make_logs("push_t", 1, tmp_path / "t.zip", image_size=32)
    (episode,) = episodes(tmp_path / "t.zip")
    steps = len(episode["action"])
    assert episode["image"].shape == (steps + 1, 32, 32, 3)
    assert episode["state"].shape == (steps + 1, 6)
    assert steps == 300 or episode["terminated"][-1]


def test_no_episodes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        make_logs("push_disc", 0, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())
