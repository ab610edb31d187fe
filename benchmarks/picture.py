"""Draw the README's picture from a rollout: real above, imagined below, step by step.

python -m benchmarks.picture ROLLOUT_FOLDER docs/pictures/rollout.png [--item 0] [--every 4]
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.data.video import read_mp4

TILE, GAP, LEFT, TOP = 112, 6, 92, 30
INK = (40, 40, 40)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("out", type=Path)
    options.add_argument("--item", type=int, nargs="+", default=[0])
    options.add_argument("--every", type=int, default=5)
    options.add_argument("--steps", type=int, default=8)
    chosen = options.parse_args()
    items = json.loads((chosen.folder / "rollout.json").read_text())["items"]
    blocks = [strip(chosen.folder, items[n], chosen.every, chosen.steps) for n in chosen.item]
    picture = np.concatenate(blocks)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(chosen.out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def strip(folder: Path, item: dict[str, str], every: int, steps: int) -> NDArray[np.uint8]:
    """Two rows of frames with their labels, (height, width, 3) RGB."""
    rows = [
        ("real", read_mp4(folder / item["real"])),
        ("imagined", read_mp4(folder / item["imagined"])),
    ]
    picture = np.full((TOP + 2 * (TILE + GAP), LEFT + steps * (TILE + GAP), 3), 255, np.uint8)
    same = (
        "the same logged actions" if item["kind"] == "replay" else "the learned policy acts in both"
    )
    label(picture, f"{same}; imagined step:", (8, 20))
    for column in range(steps):
        x = LEFT + column * (TILE + GAP)
        if column > 2:  # the first ones make room for the heading
            label(picture, str(column * every), (x + TILE // 2 - 6, 20))
        for row, (_, frames) in enumerate(rows):
            frame = frames[min(column * every, len(frames) - 1)]
            y = TOP + row * (TILE + GAP)
            picture[y : y + TILE, x : x + TILE] = cv2.resize(
                frame, (TILE, TILE), interpolation=cv2.INTER_NEAREST
            )
    for row, (name, _) in enumerate(rows):
        label(picture, name, (8, TOP + row * (TILE + GAP) + TILE // 2))
    return picture


def label(picture: NDArray[np.uint8], text: str, place: tuple[int, int]) -> None:
    """Write small dark text."""
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.48, INK, 1, cv2.LINE_AA)


if __name__ == "__main__":
    main()
