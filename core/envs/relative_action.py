"""Actions as displacements, for environments whose actions are places."""

from typing import Any, Protocol, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class Positioned(Protocol):
    """An environment that knows where its agent is and can restore itself."""

    @property
    def agent_position(self) -> NDArray[np.float64]: ...

    def get_state(self) -> NDArray[np.float64]: ...

    def set_state(self, state: NDArray[np.floating[Any]]) -> None: ...


class RelativeAction(gym.ActionWrapper[Any, NDArray[np.float32], Any]):
    """Action: displacement of the target from where the agent is, (A,) in [-1, 1], 1 being
    `max_step_px`; the target stays inside the wrapped environment's action space."""

    def __init__(self, env: gym.Env[Any, Any], max_step_px: float = 64.0) -> None:
        super().__init__(env)
        if not isinstance(env.action_space, spaces.Box) or max_step_px <= 0:
            raise ValueError(f"need a Box of places and max_step_px > 0, got {max_step_px}")
        self._places, self.max_step_px = env.action_space, max_step_px
        self.action_space = spaces.Box(-1.0, 1.0, self._places.shape, np.float32)

    def action(self, action: NDArray[Any]) -> NDArray[np.float64]:
        """The place that a displacement leads to."""
        move = np.clip(np.asarray(action, np.float64), -1, 1) * self.max_step_px
        return np.clip(self._inner.agent_position + move, self._places.low, self._places.high)

    def get_state(self) -> NDArray[np.float64]:
        """The wrapped environment's `get_state`."""
        return self._inner.get_state()

    def set_state(self, state: NDArray[np.floating[Any]]) -> None:
        """The wrapped environment's `set_state`."""
        self._inner.set_state(state)

    @property
    def _inner(self) -> Positioned:
        return cast(Positioned, self.unwrapped)
