"""Ten lines for each format that run an exported policy, written beside it."""

from collections.abc import Iterable
from pathlib import Path

SAMPLES = {
    "onnx": """\
import json, pathlib, numpy as np, onnxruntime
here = pathlib.Path(__file__).parent
config = json.loads((here / "config.json").read_text())
policy = onnxruntime.InferenceSession(here / "policy.onnx")
state, noise = (np.zeros((1, config[k]), np.float32) for k in ("state_dim", "action_dim"))
for t in range(3):
    image = np.zeros((1, config["image_size"], config["image_size"], 3), np.uint8)  # your camera
    inputs = {"image": image, "state": state, "reset": np.array([t == 0]), "noise": noise}
    action, state = policy.run(None, inputs)
    print(action[0])
""",
    "torch": """\
import json, pathlib, torch
here = pathlib.Path(__file__).parent
config = json.loads((here / "config.json").read_text())
policy = torch.export.load(here / "policy.pt2").module()
state, noise = (torch.zeros(1, config[k]) for k in ("state_dim", "action_dim"))
for t in range(3):
    image = torch.zeros(1, config["image_size"], config["image_size"], 3, dtype=torch.uint8)
    with torch.no_grad():
        action, state = policy(image, state, torch.tensor([t == 0]), noise)
    print(action[0].numpy())
""",
    "safetensors": """\
import pathlib, torch
from core.policy.step import PolicyStep  # of foglab
policy = PolicyStep.load(pathlib.Path(__file__).parent)
side = policy.config.local.image_size
state, noise = policy.initial(1), torch.zeros(1, policy.config.actor.action_dim)
for t in range(3):
    image = torch.zeros(1, side, side, 3, dtype=torch.uint8)  # your camera
    with torch.no_grad():
        action, state = policy(image, state, torch.tensor([t == 0]), noise)
    print(action[0].numpy())
""",
}
"""Format to a script; tests run each of them."""

NOTE = """\
# An exported policy

One function of a camera frame and its own memory:

    (image, state, reset, noise) -> (action, next_state)

| | shape | type | what |
|---|---|---|---|
| `image` | (batch, H, W, 3) | uint8 | RGB frame, 0..255; H = W = `image_size` of config.json |
| `state` | (batch, `state_dim`) | float32 | memory: zeros, then the `next_state` of the step before |
| `reset` | (batch,) | bool | true where an episode begins: the given state does not count |
| `noise` | (batch, `action_dim`) | float32 | zeros: the likeliest action; standard normal numbers: one that is drawn |
| `action` | (batch, `action_dim`) | float32 | in [-1, 1], in the units of the logs |

The batch may have any size. Pixels are normalised inside. The same inputs give the same action: all
chance is in `noise`. A policy that stands still with zeros may go on with drawn actions, which is
how it learned. Everything is computed in float32.

Shrink camera frames as ingest does: by averaging over areas (`cv2.INTER_AREA`), after the `pictures`
of config.json (crop, flip, fit). Call it `fps` times a second.

`parity.json` tells how far each format's actions were from the original's on real frames, with a
memory of its own, for several batch sizes.

"""


def write_samples(folder: Path, formats: Iterable[str]) -> None:
    """`README.md`, and `sample_<format>.py` for each format."""
    told = []
    for format in formats:
        (folder / f"sample_{format}.py").write_text(SAMPLES[format], encoding="utf-8")
        told.append(f"## {format}\n\n```python\n{SAMPLES[format]}```\n")
    (folder / "README.md").write_text(NOTE + "\n".join(told), encoding="utf-8")
