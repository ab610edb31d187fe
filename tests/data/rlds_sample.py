"""Makes `rlds.zip` with TensorFlow Datasets, the library of the format.

    pip install tensorflow-cpu==2.21.0 tensorflow-datasets==4.9.10   # in an environment of its own
    python rlds_sample.py rlds.zip

TensorFlow is too large for the tests' environment, so its output lies beside this file.
"""

import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

SAMPLE = Path(__file__).with_name("rlds.zip")
LENGTHS = (6, 7, 8, 9, 10)
TASK = "push the block"


def steps(n: int) -> list[dict[str, Any]]:
    """Episode n, step by step."""
    rng, length = np.random.default_rng(n), LENGTHS[n]
    return [
        {
            "observation": {
                "image": rng.integers(0, 256, (16, 16, 3), dtype=np.uint8),
                "plain": rng.integers(0, 256, (16, 16, 3), dtype=np.uint8),
                "state": rng.normal(size=3).astype(np.float32),
            },
            "action": rng.normal(size=2).astype(np.float32),
            "reward": np.float32(rng.normal()),
            "discount": np.float32(1),
            "is_first": t == 0,
            "is_last": t == length - 1,
            "is_terminal": t == length - 1 and n % 2 == 0,
            "language_instruction": TASK,
        }
        for t in range(length)
    ]


def write(path: Path) -> None:
    """A split of four episodes and one of a single one."""
    import tensorflow_datasets as tfds

    of = tfds.features

    class PushRlds(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            observation = {
                "image": of.Image(shape=(16, 16, 3), dtype=np.uint8, encoding_format="png"),
                "plain": of.Tensor(shape=(16, 16, 3), dtype=np.uint8),
                "state": of.Tensor(shape=(3,), dtype=np.float32),
            }
            flags = {k: of.Scalar(dtype=np.bool_) for k in ("is_first", "is_last", "is_terminal")}
            numbers = {k: of.Scalar(dtype=np.float32) for k in ("reward", "discount")}
            step = {
                "observation": of.FeaturesDict(observation),
                "action": of.Tensor(shape=(2,), dtype=np.float32),
                "language_instruction": of.Text(),
            }
            features = {
                "steps": of.Dataset({**step, **flags, **numbers}),
                "episode_metadata": of.FeaturesDict({"file_path": of.Text()}),
            }
            return tfds.core.DatasetInfo(builder=self, features=of.FeaturesDict(features))

        def _split_generators(self, _: Any) -> Any:
            first, last = range(len(LENGTHS) - 1), range(len(LENGTHS) - 1, len(LENGTHS))
            return {
                "train": self._generate_examples(first),
                "val": self._generate_examples(last),
            }

        def _generate_examples(self, episodes: range) -> Any:
            for n in episodes:
                yield n, {"steps": steps(n), "episode_metadata": {"file_path": f"{n}"}}

    with tempfile.TemporaryDirectory() as folder:
        PushRlds(data_dir=folder).download_and_prepare()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
                archive.write(file, file.relative_to(folder).as_posix())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
