"""Robot policies trained inside world models learned from the robot's own logs.

`foglab.make` and `foglab.make_vec` play a world of a running service as Gymnasium environments.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foglab.simulator import SimulatorEnv, SimulatorVectorEnv

__all__ = ["make", "make_vec"]


def make(
    url: str, *, token: str | None = None, model: str | None = None, **options: Any
) -> "SimulatorEnv":
    """A global model of the service at `url` as a `gymnasium.Env`.

    `token`: else FOGLAB_TOKEN. `model`: else the newest. `options` are fields of a reset that hold
    for all episodes: `world` ("model" or "simulator"), `policy`, `start`, `max_steps`, `record`.

    Raises:
        ServiceError: the service refuses, or does not answer.
    """
    from foglab import simulator  # gymnasium is not everywhere where this package is

    return simulator.make(url, token=token, model=model, **options)


def make_vec(
    url: str, num_envs: int, *, token: str | None = None, model: str | None = None, **options: Any
) -> "SimulatorVectorEnv":
    """`num_envs` episodes at once as a `gymnasium.vector.VectorEnv`; the rest as in `make`."""
    from foglab import simulator

    return simulator.make_vec(url, num_envs, token=token, model=model, **options)
