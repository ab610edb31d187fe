"""The play that benchmarks train on is seen as policies are judged."""

import numpy as np

from benchmarks.worlds import one_episode
from core.envs import TASKS, make_task
from core.envs.camera import CAMERA_SIZE
from core.envs.logs import play_episode
from core.pictures import shrunk


def test_play_at_few_pixels_is_the_cameras_picture_averaged_down() -> None:
    made = one_episode("push_disc", 32, seed=0, number=3)
    rng, task = np.random.default_rng([0, 3]), TASKS["push_disc"]
    env = make_task("push_disc", CAMERA_SIZE)
    logged = play_episode(env, task.play(), rng, task.play_start(rng))
    expected = np.stack([shrunk(frame, 32, 32) for frame in logged["image"]])
    np.testing.assert_array_equal(made.frames, expected)
    np.testing.assert_array_equal(made.actions, logged["action"])
