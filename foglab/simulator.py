"""A world of the service as a Gymnasium environment, over one WebSocket; no torch here."""

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from core.jobs import wire
from foglab.calls.base import API
from foglab.transport import ServiceError, Transport

ANSWER_SECONDS = 150.0
"""The first answer may have to wait for torch and a model to be loaded."""

_TOLD = ("t", "return", "seed", "session_id")
"""What a vector environment's info has of each reply."""

Frame = NDArray[np.uint8]
Action = NDArray[np.float32]
Info = dict[str, Any]
Request = dict[str, Any]
Reply = tuple[Info, Frame]


class World:
    """What is played: the service, the model, and sessions on one connection."""

    def __init__(
        self, url: str, token: str | None, model: str | None, options: dict[str, Any]
    ) -> None:
        self._token = token or os.environ.get("FOGLAB_TOKEN")
        self._transport = Transport(url, self._token)
        self._connection = ExitStack()
        self._socket: ClientConnection | None = None
        self._number = 0
        try:
            chosen = model or self._newest()
            told = self._transport.json("GET", f"{API}/sim/info", params={"model": chosen})
        except ServiceError:
            self.close()
            raise
        self.facts: dict[str, Any] = told["model"]
        self._options = {"model": chosen, **options}
        self.observation_space = spaces.Box(0, 255, tuple(self.facts["image_shape"]), np.uint8)
        self.action_space = spaces.Box(-1, 1, (self.facts["action_dim"],), np.float32)

    def reset_request(self, session: str | None, seed: int, options: Info | None) -> Request:
        """`options` are fields of the reset: episode, frame, window, start, world …"""
        asked = {"op": "reset", **self._options, "seed": seed, **(options or {})}
        return asked | ({"session_id": session} if session else {})

    def step_request(self, session: str | None, action: Any) -> Request:
        """`action` None: the policy acts.

        Raises:
            ValueError: the action has another shape, or is not finite.
            RuntimeError: there was no reset.
        """
        if session is None:
            raise RuntimeError("call reset before step")
        asked: Request = {"op": "step", "session_id": session, "action": None}
        if action is not None:
            values = np.asarray(action, np.float32)
            if values.shape != self.action_space.shape or not np.isfinite(values).all():
                raise ValueError(
                    f"an action is {self.action_space.shape[0]} finite numbers, got {action!r}"
                )
            asked["action"] = values.tolist()
        return asked

    def ask(self, requests: Sequence[Request]) -> list[Reply | ServiceError]:
        """Answers in the order of the requests, which are all under way at once.

        Raises:
            ServiceError: the connection was lost, or cannot be made.
        """
        socket = self._connected()
        numbers = range(self._number + 1, self._number + 1 + len(requests))
        self._number += len(requests)
        answers: dict[int, Reply | ServiceError] = {}
        try:
            for n, request in zip(numbers, requests, strict=True):
                socket.send(json.dumps({"id": n, **request}))
            while len(answers) < len(requests):
                message = socket.recv(timeout=ANSWER_SECONDS, decode=False)
                header, body = wire.unpack(bytes(message))
                answers[header.get("id") or 0] = _answer(header, body)
        except (WebSocketException, OSError, TimeoutError) as error:
            self.disconnect()
            raise self._transport.unreachable(error) from error
        return [answers[n] for n in numbers]

    def one(self, request: Request) -> Reply:
        """The answer to one request; raises it if it is a refusal."""
        (answer,) = self.ask([request])
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    def start(self, requests: Sequence[Request]) -> list[Reply]:
        """Resets; a session that has ended meanwhile is replaced by a new one."""
        try:
            answers = self.ask(requests)
        except ServiceError:  # the service was started anew: so are the sessions
            answers = self.ask([_without_session(r) for r in requests])
        for i, answer in enumerate(answers):
            if isinstance(answer, ServiceError) and answer.status in {404, 410}:
                answers[i] = self.one(_without_session(requests[i]))
        return _all_or_raise(answers)

    def disconnect(self) -> None:
        """Sessions end with the connection."""
        self._socket = None
        with suppress(WebSocketException, OSError):
            self._connection.close()

    def close(self) -> None:
        """Give everything back."""
        self.disconnect()
        self._transport.http.close()

    def _newest(self) -> str:
        found = self._transport.json(
            "GET", f"{API}/models", params={"kind": "global_model", "limit": 1}
        )["items"]
        if not found:
            raise ServiceError(404, "There is no global model yet", "Train one first")
        return str(found[0]["id"])

    def _connected(self) -> ClientConnection:
        if self._socket is None:
            address = self._transport.url.replace("http", "ws", 1) + f"{API}/sim/ws"
            headers = {"Authorization": f"Bearer {self._token}"}
            try:
                self._socket = self._connection.enter_context(
                    connect(
                        address, additional_headers=headers, compression=None, max_size=64 << 20
                    )
                )
                self._socket.recv(timeout=ANSWER_SECONDS)  # says that it is ready
            except InvalidStatus as error:
                status = error.response.status_code
                told = "its token is not valid, or may not write" if status in {401, 403} else ""
                raise ServiceError(status, "The service refused the connection", told) from error
            except (WebSocketException, OSError, TimeoutError) as error:
                self.disconnect()
                raise self._transport.unreachable(error) from error
        return self._socket


class SimulatorEnv(gym.Env[Frame, Action]):
    """One episode after the other in a global model, or in the true simulator of its task.

    Observation: a frame (S, S, 3) uint8. Action: (A,) float32 in [-1, 1], or None where the
    environment was made with a policy that shall act. Reward and end are the world's.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": world.facts["fps"]}
        self.render_mode = "rgb_array"
        self.observation_space, self.action_space = world.observation_space, world.action_space
        self._session: str | None = None
        self._frame: Frame | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, Info]:
        """Start an episode; the same seed, the same start and chance.

        `options`: `episode` and `frame`, or `window`, or `start="simulator"`; `world`; `max_steps`.

        Raises:
            ServiceError: the service refuses, or does not answer.
        """
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed % 2**31
        request = self.world.reset_request(self._session, drawn, options)
        ((info, self._frame),) = self.world.start([request])
        self._session = info["session_id"]
        return self._frame, info

    def step(self, action: Action | None) -> tuple[Frame, float, bool, bool, Info]:
        """One step; see the class.

        Raises:
            ServiceError: the service refuses, or does not answer; 410: the session has expired.
        """
        info, self._frame = self.world.one(self.world.step_request(self._session, action))
        return self._frame, info["reward"], info["terminated"], info["truncated"], info

    def render(self) -> Frame | None:
        """The newest frame."""
        return self._frame

    def close(self) -> None:
        """End the session and the connection."""
        self.world.close()


class SimulatorVectorEnv(VectorEnv[Frame, Action, NDArray[Any]]):
    """Many episodes at once; their steps are under way together and share batches on the device.

    Environment i of `reset(seed=s)` is `SimulatorEnv` with seed s + i. Autoreset is Gymnasium's
    next-step mode: the step after an end begins the next episode, its action is not used.
    """

    def __init__(self, world: World, num_envs: int) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.world, self.num_envs = world, num_envs
        self.metadata = {
            "autoreset_mode": AutoresetMode.NEXT_STEP,
            "render_fps": world.facts["fps"],
        }
        self.single_observation_space = world.observation_space
        self.single_action_space = world.action_space
        self.observation_space = batch_space(world.observation_space, num_envs)
        self.action_space = batch_space(world.action_space, num_envs)
        self._sessions: list[str | None] = [None] * num_envs
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, Info]:
        """Start all episodes; `options` as in `SimulatorEnv.reset`."""
        super().reset(seed=seed)
        requests = [
            self.world.reset_request(session, self._seed(seed, i), options)
            for i, session in enumerate(self._sessions)
        ]
        replies = self.world.start(requests)
        self._sessions = [info["session_id"] for info, _ in replies]
        self._ended[:] = False
        return np.stack([frame for _, frame in replies]), self._told(replies)

    def step(
        self, actions: Action
    ) -> tuple[Frame, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """One step everywhere, of shape (num_envs, A)."""
        if len(actions) != self.num_envs:
            raise ValueError(f"{len(actions)} actions for {self.num_envs} environments")
        requests = [
            self.world.reset_request(session, self._seed(None, i), None)
            if self._ended[i]
            else self.world.step_request(session, actions[i])
            for i, session in enumerate(self._sessions)
        ]
        replies = _all_or_raise(self.world.ask(requests))
        told = [info for info, _ in replies]
        rewards = np.array([i.get("reward", 0.0) for i in told], np.float64)
        terminated = np.array([i.get("terminated", False) for i in told], bool)
        truncated = np.array([i.get("truncated", False) for i in told], bool)
        self._ended = terminated | truncated
        frames = np.stack([frame for _, frame in replies])
        return frames, rewards, terminated, truncated, self._told(replies)

    def close_extras(self, **kwargs: Any) -> None:
        """End the sessions and the connection."""
        self.world.close()

    def _seed(self, seed: int | None, i: int) -> int:
        return int(self.np_random.integers(2**31)) if seed is None else (seed + i) % 2**31

    def _told(self, replies: Sequence[Reply]) -> Info:
        told: Info = {}
        for i, (info, _) in enumerate(replies):
            kept: Info = {k: info[k] for k in _TOLD if k in info}
            told = self._add_info(told, kept, i)
        return told


def make(
    url: str, *, token: str | None = None, model: str | None = None, **options: Any
) -> SimulatorEnv:
    """A world of the service at `url` as a Gymnasium environment; see `foglab.make`."""
    return SimulatorEnv(World(url, token, model, options))


def make_vec(
    url: str, num_envs: int, *, token: str | None = None, model: str | None = None, **options: Any
) -> SimulatorVectorEnv:
    """The same many times over, in batches; see `foglab.make_vec`."""
    return SimulatorVectorEnv(World(url, token, model, options), num_envs)


def _answer(header: dict[str, Any], body: bytes) -> Reply | ServiceError:
    error = header.get("error")
    if error is not None:
        return ServiceError(error["status"], error["title"], error["detail"], error.get("errors"))
    info = {k: v for k, v in header.items() if k not in {"id", "shape", "encoding", "obs_type"}}
    frame = np.frombuffer(body, np.uint8)
    return info, frame.reshape(header["shape"]).copy() if "shape" in header else frame


def _all_or_raise(answers: Sequence[Reply | ServiceError]) -> list[Reply]:
    replies = []
    for answer in answers:
        if isinstance(answer, ServiceError):
            raise answer
        replies.append(answer)
    return replies


def _without_session(request: Request) -> Request:
    return {k: v for k, v in request.items() if k != "session_id"}
