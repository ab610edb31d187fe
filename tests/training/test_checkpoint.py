"""Checkpoints are whole or absent."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.checkpoint import restore, save_checkpoint


class Box:
    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.state = state_dict


leaves = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.text())
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(), st.integers()), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(), trees))
def test_any_state_comes_back_as_it_was(state: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder), 1, {"box": Box(state)})
        loaded = Box({})
        assert restore(Path(folder), {"box": loaded}) == 1
    assert loaded.state == state


def adam_after(steps: int) -> tuple[torch.nn.Linear, torch.optim.Adam]:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    adam = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(steps):
        net(torch.ones(1, 3)).sum().backward()
        adam.step()
    return net, adam


def test_optimizer_continues_from_its_moments(tmp_path: Path) -> None:
    net, adam = adam_after(3)
    save_checkpoint(tmp_path, 3, {"net": net, "adam": adam})
    other, other_adam = adam_after(0)
    restore(tmp_path, {"net": other, "adam": other_adam})
    for n, a in ((net, adam), (other, other_adam)):
        n.zero_grad()
        n(torch.ones(1, 3)).sum().backward()
        a.step()
    assert torch.equal(net.weight, other.weight)


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step, {"box": Box({"step": step})})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000010", "00000015"]


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, name: str, harm: str) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"box": Box({"step": step, "t": torch.ones(64)})})
    path = tmp_path / "00000002" / name
    data = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    else:
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data if harm == "flip" else data[: len(data) // 2])
    box = Box({})
    assert restore(tmp_path, {"box": box}) == 1
    assert box.state["step"] == 1


def test_a_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"box": Box({})})
    (tmp_path / ".00000002.77").mkdir()
    assert restore(tmp_path, {"box": Box({})}) == 1
    assert restore(tmp_path / "none", {"box": Box({})}) == 0
