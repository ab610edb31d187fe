"""The simulator without any network: sessions in worlds, stepped in batches."""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from core.artifacts import Artifacts
from core.jobs.simulation import Act, Limits, Reset, Step
from core.simulation import acting, rounds
from core.simulation.answers import Answer, Reply, facts, shown
from core.simulation.errors import Refused
from core.simulation.lanes import imagined_lane, policy_lane, true_lane
from core.simulation.resets import check_match, merged, next_recording
from core.simulation.sessions import Sessions
from core.simulation.shelf import Shelf

__all__ = ["Answer", "Engine", "Reply"]


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
            told["model"] = facts(self.shelf.world(model_id))
        return Reply(told)

    def reset(self, owner: str, asked: Reset) -> Reply:
        """Start an episode in a new session, or in the one that is named."""
        session = None
        if asked.session_id is not None:
            session = self.sessions.get(owner, asked.session_id)
            if session.asked is None:
                raise Refused(409, "The session plays no world", "it is that of a policy")
            asked = merged(session.asked, asked)
        if asked.model is None:
            raise Refused(422, "No model was named", "model: say which global model to play")
        world = self.shelf.world(asked.model)
        policy = self.shelf.policy(asked.policy) if asked.policy is not None else None
        check_match(world, policy)
        seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
        lane = (
            imagined_lane(world, asked, seed) if asked.world == "model" else true_lane(world, seed)
        )
        session = session or self.sessions.new(owner)
        session.close()
        session.lane, session.t, session.total, session.ended = lane, 0, 0.0, False
        session.policy = policy_lane(policy, lane) if policy is not None else None
        session.recording = next_recording(session, asked, self.limits.recorded_steps)
        session.asked = asked
        session.about = {"seed": seed, "image_size": world.model.config.image_size}
        return shown(session, asked.obs_type, asked.encoding, world, {})

    def step_all(self, asked: Sequence[tuple[str, Step]]) -> list[Answer]:
        """One step of each; sessions in one model go through it together.

        A session that is named twice takes its steps one after the other.
        """
        return rounds.step_all(asked, self.sessions, self.shelf)

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
        return acting.act_all(asked, self.sessions, self.shelf, self.limits.rows_per_session)
