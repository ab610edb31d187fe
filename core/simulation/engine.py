"""The simulator without any network: sessions in worlds, stepped in batches."""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from core.artifacts import Artifacts
from core.global_model.model import to_float
from core.jobs.simulation import Act, Limits, Reset, Step
from core.simulation.errors import Refused
from core.simulation.lanes import (
    Action,
    ImaginedLane,
    Outcome,
    PolicyLane,
    blank_policy_lane,
    decide,
    imagine,
    imagined_lane,
    policy_lane,
    true_lane,
    watch,
)
from core.simulation.pictures import encode, fitted
from core.simulation.recording import Recording
from core.simulation.sessions import Session, Sessions
from core.simulation.shelf import LoadedPolicy, LoadedWorld, Shelf

_OF_ONE_EPISODE = frozenset({"session_id", "seed", "episode", "frame", "window"})
K = TypeVar("K")
V = TypeVar("V")


class Reply(NamedTuple):
    """Facts, and bytes beside them."""

    header: dict[str, Any]
    body: bytes = b""


Answer = Reply | Refused


class Engine:
    """Everything on one thread; `owner` is who calls, and sees no one else's sessions."""

    def __init__(
        self,
        artifacts: Artifacts,
        device: torch.device,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self.shelf = Shelf(artifacts, device, self.limits.models)
        self.sessions = Sessions(self.limits, clock)
        self._device = device

    def info(self, owner: str, model_id: str | None = None) -> Reply:
        """What can be played; of a model its sizes."""
        mine = self.sessions.of(owner)
        told: dict[str, Any] = {
            "sessions": len(mine),
            "most_sessions": self.limits.sessions_per_owner,
            "idle_seconds": self.limits.idle_seconds,
            "device": str(self._device),
        }
        if model_id is not None:
            told["model"] = _facts(self.shelf.world(model_id))
        return Reply(told)

    def reset(self, owner: str, asked: Reset) -> Reply:
        """Start an episode in a new session, or in the one that is named."""
        session, fresh = None, asked.session_id is None
        if asked.session_id is not None:
            session = self.sessions.get(owner, asked.session_id)
            if session.asked is None:
                raise Refused(409, "The session plays no world", "it is that of a policy")
            asked = _merged(session.asked, asked)
        if asked.model is None:
            raise Refused(422, "No model was named", "model: say which global model to play")
        world = self.shelf.world(asked.model)
        policy = self.shelf.policy(asked.policy) if asked.policy is not None else None
        _check_match(world, policy)
        seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
        lane = (
            imagined_lane(world, asked, seed) if asked.world == "model" else true_lane(world, seed)
        )
        session = session or self.sessions.new(owner)
        session.close()
        session.lane, session.t, session.total, session.ended = lane, 0, 0.0, False
        session.policy = policy_lane(policy, lane) if policy is not None else None
        session.recording = self._recording(session, asked, fresh)
        session.asked = asked
        session.about = {"seed": seed, "image_size": world.model.config.image_size}
        return self._reply(session, asked.obs_type, asked.encoding, world, {})

    def step_all(self, asked: Sequence[tuple[str, Step]]) -> list[Answer]:
        """One step of each; sessions in one model go through it together.

        A session that is named twice takes its steps one after the other.
        """
        answers: list[Answer | None] = [None] * len(asked)
        waiting = list(range(len(asked)))
        while waiting:
            now: dict[str, int] = {}
            for i in waiting:
                now.setdefault(asked[i][1].session_id, i)
            for i, answer in self._round([(i, *asked[i]) for i in now.values()]):
                answers[i] = answer
            waiting = [i for i in waiting if answers[i] is None]
        return [a for a in answers if a is not None]

    def close(self, owner: str, session_id: str) -> Reply:
        """End a session; `closed` is false if it had ended before."""
        try:
            session = self.sessions.get(owner, session_id)
        except Refused:
            return Reply({"session_id": session_id, "closed": False})
        self.sessions.end(session, "it was closed")
        return Reply({"session_id": session_id, "closed": True})

    def recorded(self, owner: str, session_id: str) -> Reply:
        """What the session recorded, as a zip of logs; the session goes on."""
        session = self.sessions.get(owner, session_id)
        if session.recording is None or session.asked is None or session.asked.model is None:
            raise Refused(409, "Nothing was recorded", "reset the session with record: true")
        episodes = session.recording.episodes
        if episodes < 2:
            told = (
                f"{episodes} episode(s) were recorded and a dataset needs two, one to learn from "
                "and one to hold out: reset, and play another"
            )
            raise Refused(409, "Too little was recorded", told)
        meta = self.shelf.world(session.asked.model).dataset.meta
        logs = session.recording.logs(meta.fps, meta.action_kind, meta.task)
        return Reply({"episodes": episodes, "steps": session.recording.steps}, logs)

    def act_all(self, asked: Sequence[tuple[str, Act, bytes]]) -> list[Answer]:
        """Actions of policies for observations; sessions of one policy go through it together."""
        answers: list[Answer | None] = [None] * len(asked)
        groups: dict[str, list[tuple[int, Session, torch.Tensor]]] = {}
        policies: dict[str, LoadedPolicy] = {}
        taken: set[str] = set()
        for i, (owner, one, data) in enumerate(asked):
            try:
                if one.session_id in taken:
                    told = "its reply has not come yet: wait for it, then send the next observation"
                    raise Refused(409, "The session is busy", told)
                policies[one.policy] = policy = self.shelf.policy(one.policy)
                session, frames = self._observed(owner, one, data, policy)
                taken.add(session.id)
                groups.setdefault(one.policy, []).append((i, session, frames))
            except Refused as refusal:
                answers[i] = refusal
        for policy_id, rows in groups.items():
            policy = policies[policy_id]
            lanes = [s.policy for _, s, _ in rows if s.policy is not None]
            watch(
                policy,
                lanes,
                torch.cat([ln.last for ln in lanes]),
                torch.cat([f for *_, f in rows]),
            )
            actions = decide(policy, lanes)
            at = 0
            for (i, session, _), lane in zip(rows, lanes, strict=True):
                lane.last = actions[at : at + len(lane.last)]
                at += len(lane.last)
                session.t += 1
                answers[i] = Reply(
                    {"session_id": session.id, "t": session.t, "actions": lane.last.tolist()}
                )
        return [a for a in answers if a is not None]

    # --- Parts of a step

    def _round(self, asked: Iterable[tuple[int, str, Step]]) -> list[tuple[int, Answer]]:
        """One step of sessions that are all different."""
        answers: list[tuple[int, Answer]] = []
        ready: dict[int, tuple[Session, Step, LoadedWorld]] = {}
        for i, owner, step in asked:
            try:
                session = self.sessions.get(owner, step.session_id)
                ready[i] = (session, step, self._playable(session, step))
            except Refused as refusal:
                answers.append((i, refusal))
        actions = self._actions(ready)
        outcomes = self._outcomes(ready, actions)
        self._tell_policies(ready, actions, outcomes)
        for i, (session, step, world) in ready.items():
            answers.append((i, self._ended_step(session, step, world, actions[i], outcomes[i])))
        return answers

    def _playable(self, session: Session, step: Step) -> LoadedWorld:
        """Raises `Refused` if the session cannot take this step."""
        if session.asked is None or session.asked.model is None:
            raise Refused(409, "The session plays no world", "it is that of a policy")
        if session.ended:
            raise Refused(409, "The episode has ended", "start the next one with a reset")
        try:
            world = self.shelf.world(session.asked.model)
            if session.policy is not None:
                self.shelf.policy(session.policy.policy_id)
        except Refused as refusal:
            self.sessions.end(session, refusal.detail)
            raise
        dim = world.model.config.action_dim
        if step.action is None and session.policy is None:
            told = f"action: give {dim} numbers in [-1, 1], or reset the session with a policy"
            raise Refused(422, "Nobody acts", told)
        if step.action is not None and len(step.action) != dim:
            told = f"action: the model takes {dim} numbers, not {len(step.action)}"
            raise Refused(422, "An action of the wrong size", told)
        obs_type, encoding = _wanted(session.asked, step)
        if (obs_type == "latent") != (encoding == "raw_f16"):
            raise Refused(
                422,
                "Not an encoding of this observation",
                "encoding: raw_f16 is for obs_type latent, and no other is",
            )
        return world

    def _actions(self, ready: dict[int, tuple[Session, Step, LoadedWorld]]) -> dict[int, Action]:
        actions: dict[int, Action] = {}
        acting: dict[str, list[tuple[int, PolicyLane]]] = {}
        for i, (session, step, _) in ready.items():
            if step.action is not None:
                actions[i] = np.array(step.action, np.float32).clip(-1, 1)
            elif session.policy is not None:
                acting.setdefault(session.policy.policy_id, []).append((i, session.policy))
        for policy_id, rows in acting.items():
            decided = decide(self.shelf.policy(policy_id), [lane for _, lane in rows])
            for (i, _), action in zip(rows, decided.cpu().numpy(), strict=True):
                actions[i] = action.astype(np.float32)
        return actions

    def _outcomes(
        self, ready: dict[int, tuple[Session, Step, LoadedWorld]], actions: dict[int, Action]
    ) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        imagined: dict[str, list[tuple[int, ImaginedLane, LoadedWorld]]] = {}
        for i, (session, _, world) in ready.items():
            if isinstance(session.lane, ImaginedLane):
                imagined.setdefault(world.id, []).append((i, session.lane, world))
            elif session.lane is not None:
                outcomes[i] = session.lane.step(actions[i])
        for rows in imagined.values():
            found = imagine(rows[0][2], [r[1] for r in rows], [actions[r[0]] for r in rows])
            outcomes.update(zip((r[0] for r in rows), found, strict=True))
        return outcomes

    def _tell_policies(
        self,
        ready: dict[int, tuple[Session, Step, LoadedWorld]],
        actions: dict[int, Action],
        outcomes: dict[int, Outcome],
    ) -> None:
        """Also those that did not act: they can take over at any step."""
        watching: dict[str, list[tuple[int, PolicyLane]]] = {}
        for i, (session, *_) in ready.items():
            if session.policy is not None:
                watching.setdefault(session.policy.policy_id, []).append((i, session.policy))
        for policy_id, rows in watching.items():
            taken = torch.from_numpy(np.stack([actions[i] for i, _ in rows])).to(self._device)
            seen = torch.from_numpy(np.stack([outcomes[i].frame for i, _ in rows]))
            lanes = [lane for _, lane in rows]
            watch(self.shelf.policy(policy_id), lanes, taken, to_float(seen).to(self._device))

    def _ended_step(
        self, session: Session, step: Step, world: LoadedWorld, action: Action, outcome: Outcome
    ) -> Reply:
        assert session.asked is not None
        session.t += 1
        session.total += outcome.reward
        truncated = session.t >= session.asked.max_steps and not outcome.terminated
        session.ended = outcome.terminated or truncated
        if session.recording is not None:
            session.recording.add(action, outcome.frame, outcome.reward, outcome.terminated)
        obs_type, encoding = _wanted(session.asked, step)
        told = {
            "reward": outcome.reward,
            "terminated": outcome.terminated,
            "truncated": truncated,
            "action": [round(float(a), 6) for a in action],
            "driver": "human" if step.action is not None else "policy",
        }
        return self._reply(session, obs_type, encoding, world, told)

    def _reply(
        self,
        session: Session,
        obs_type: str,
        encoding: Any,
        world: LoadedWorld,
        told: dict[str, Any],
    ) -> Reply:
        assert session.lane is not None
        assert session.asked is not None
        body, shape = encode(session.lane.frame, encoding, world.model.config.patch)
        header = {
            "session_id": session.id,
            "t": session.t,
            "return": session.total,
            "world": session.asked.world,
            "seed": session.about["seed"],
            **told,
            "obs_type": obs_type,
            "encoding": encoding,
            "shape": list(shape),
            "info": session.lane.told,
        }
        if session.recording is not None:
            recording = session.recording
            header["recorded"] = {
                "episodes": recording.episodes,
                "steps": recording.steps,
                "full": recording.full,
            }
        return Reply(header, body)

    def _recording(self, session: Session, asked: Reset, fresh: bool) -> Recording | None:
        """Goes on through resets in the same world."""
        if not asked.record:
            return None
        before = session.asked
        kept = session.recording
        if before is None or (before.model, before.world) != (asked.model, asked.world):
            kept = None
        kept = kept or Recording(self.limits.recorded_steps)
        assert session.lane is not None
        kept.begin(session.lane.frame)
        return kept

    def _observed(
        self, owner: str, one: Act, data: bytes, policy: LoadedPolicy
    ) -> tuple[Session, torch.Tensor]:
        """The session of a policy's caller, and its frames in [-1, 1] on the device."""
        rows = one.shape[0]
        if one.session_id is None:
            if rows > self.limits.rows_per_session:
                told = f"{rows} observations; a session takes {self.limits.rows_per_session}"
                raise Refused(422, "Too many observations", told)
            session = None
        else:
            session = self.sessions.get(owner, one.session_id)
            if session.policy is None or session.policy.policy_id != one.policy or session.lane:
                raise Refused(
                    409, "The session is not this policy's", f"it does not ask {one.policy}"
                )
            if len(session.policy.last) != rows:
                told = (
                    f"it began with {len(session.policy.last)} observations, now there are {rows}"
                )
                raise Refused(422, "Another number of observations", told)
        if one.reset is not None and len(one.reset) != rows:
            raise Refused(422, "reset does not fit", f"reset: {len(one.reset)} values, {rows} rows")
        try:
            pixels = np.frombuffer(data, np.uint8).reshape(one.shape)
            pixels = fitted(pixels, policy.local.config.image_size)
        except ValueError as error:
            raise Refused(422, "Not an observation", f"observations: {error}") from error
        if session is None:
            session = self.sessions.new(owner)
            session.policy = blank_policy_lane(policy, rows)
        elif one.reset is not None and session.policy is not None:
            _forget(policy, session.policy, one.reset)
        frames = to_float(torch.from_numpy(pixels.copy())).to(self._device)
        return session, frames


def _forget(policy: LoadedPolicy, lane: PolicyLane, which: Sequence[bool]) -> None:
    """Rows that begin anew remember nothing."""
    blank = blank_policy_lane(policy, len(which))
    mask = torch.tensor(which, device=lane.last.device)[:, None]
    lane.last = torch.where(mask, blank.last, lane.last)
    pairs = zip(blank.state, lane.state, strict=True)
    lane.state = type(lane.state)(*(torch.where(mask, new, old) for new, old in pairs))


def _merged(before: Reset, asked: Reset) -> Reset:
    """What is asked for, and the rest as it was."""
    kept = before.model_dump(exclude=set(_OF_ONE_EPISODE))
    given = asked.model_dump(exclude_unset=True)
    if given.get("episode") is not None or given.get("window") is not None:
        kept["start"] = "dataset"
    try:
        return Reset.model_validate(kept | given)
    except ValueError as error:
        raise Refused(422, "The fields do not go together", str(error)) from error


def _wanted(asked: Reset, step: Step) -> tuple[str, str]:
    obs_type = step.obs_type or asked.obs_type
    encoding = step.encoding
    if encoding is None:
        same = obs_type == asked.obs_type
        encoding = asked.encoding if same else "raw_f16" if obs_type == "latent" else "raw_u8"
    return obs_type, encoding


def _check_match(world: LoadedWorld, policy: LoadedPolicy | None) -> None:
    if policy is None:
        return
    sizes = [(m.image_size, m.action_dim) for m in (world.model.config, policy.local.config)]
    if sizes[0] != sizes[1]:
        told = "policy: model and policy differ in (pixels, actions): {} and {}".format(*sizes)
        raise Refused(422, "The policy does not fit the model", told)


def _facts(world: LoadedWorld) -> dict[str, Any]:
    """Sizes of a model and what its episodes may start from."""
    c, meta = world.model.config, world.dataset.meta
    side = c.image_size // c.patch
    return {
        "id": world.id,
        "dataset": world.dataset_id,
        "image_shape": [c.image_size, c.image_size, 3],
        "latent_shape": [3 * c.patch**2, side, side],
        "action_dim": c.action_dim,
        "action_names": list(meta.names.get("actions", ())),
        "context": c.context,
        "fps": meta.fps,
        "dt": 1 / meta.fps,
        "task": world.task,
        "episodes": len(world.dataset.episodes),
        "windows": len(world.starts),
    }
