"""Steps of many sessions: those in one model, or with one policy, go through it together."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from core.global_model.model import to_float
from core.jobs.simulation import Step
from core.simulation.answers import Answer, Reply, shown, wanted
from core.simulation.errors import Refused
from core.simulation.lanes import (
    Action,
    ImaginedLane,
    Outcome,
    PolicyLane,
    decide,
    imagine,
    watch,
)
from core.simulation.sessions import Session, Sessions
from core.simulation.shelf import LoadedWorld, Shelf


class Ready(NamedTuple):
    """A step that its session can take."""

    session: Session
    step: Step
    world: LoadedWorld


def step_all(asked: Sequence[tuple[str, Step]], sessions: Sessions, shelf: Shelf) -> list[Answer]:
    """One step of each, by owner; a session that is named twice takes one after the other."""
    answers: list[Answer | None] = [None] * len(asked)
    waiting = list(range(len(asked)))
    while waiting:
        now: dict[str, int] = {}
        for i in waiting:
            now.setdefault(asked[i][1].session_id, i)
        for i, answer in _round([(i, *asked[i]) for i in now.values()], sessions, shelf):
            answers[i] = answer
        waiting = [i for i in waiting if answers[i] is None]
    return [a for a in answers if a is not None]


def _round(
    asked: Iterable[tuple[int, str, Step]], sessions: Sessions, shelf: Shelf
) -> list[tuple[int, Answer]]:
    """One step of sessions that are all different."""
    answers: list[tuple[int, Answer]] = []
    ready: dict[int, Ready] = {}
    for i, owner, step in asked:
        try:
            session = sessions.get(owner, step.session_id)
            ready[i] = Ready(session, step, _playable(session, step, sessions, shelf))
        except Refused as refusal:
            answers.append((i, refusal))
    actions = _actions(ready, shelf)
    outcomes = _outcomes(ready, actions)
    _tell_policies(ready, actions, outcomes, shelf)
    for i, one in ready.items():
        answers.append((i, _ended_step(one, actions[i], outcomes[i])))
    return answers


def _playable(session: Session, step: Step, sessions: Sessions, shelf: Shelf) -> LoadedWorld:
    """Raises `Refused` if the session cannot take this step."""
    if session.asked is None or session.asked.model is None:
        raise Refused(409, "The session plays no world", "it is that of a policy")
    if session.ended:
        raise Refused(409, "The episode has ended", "start the next one with a reset")
    try:
        world = shelf.world(session.asked.model)
        if session.policy is not None:
            shelf.policy(session.policy.policy_id)
    except Refused as refusal:
        sessions.end(session, refusal.detail)
        raise
    dim = world.model.config.action_dim
    if step.action is None and session.policy is None:
        told = f"action: give {dim} numbers in [-1, 1], or reset the session with a policy"
        raise Refused(422, "Nobody acts", told)
    if step.action is not None and len(step.action) != dim:
        told = f"action: the model takes {dim} numbers, not {len(step.action)}"
        raise Refused(422, "An action of the wrong size", told)
    obs_type, encoding = wanted(session.asked, step)
    if (obs_type == "latent") != (encoding == "raw_f16"):
        raise Refused(
            422,
            "Not an encoding of this observation",
            "encoding: raw_f16 is for obs_type latent, and no other is",
        )
    return world


def _actions(ready: dict[int, Ready], shelf: Shelf) -> dict[int, Action]:
    actions: dict[int, Action] = {}
    acting: dict[str, list[tuple[int, PolicyLane]]] = {}
    for i, (session, step, _) in ready.items():
        if step.action is not None:
            actions[i] = np.array(step.action, np.float32).clip(-1, 1)
        elif session.policy is not None:
            acting.setdefault(session.policy.policy_id, []).append((i, session.policy))
    for policy_id, rows in acting.items():
        decided = decide(shelf.policy(policy_id), [lane for _, lane in rows])
        for (i, _), action in zip(rows, decided.cpu().numpy(), strict=True):
            actions[i] = action.astype(np.float32)
    return actions


def _outcomes(ready: dict[int, Ready], actions: dict[int, Action]) -> dict[int, Outcome]:
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
    ready: dict[int, Ready],
    actions: dict[int, Action],
    outcomes: dict[int, Outcome],
    shelf: Shelf,
) -> None:
    """Also those that did not act: they can take over at any step."""
    watching: dict[str, list[tuple[int, PolicyLane]]] = {}
    for i, (session, *_) in ready.items():
        if session.policy is not None:
            watching.setdefault(session.policy.policy_id, []).append((i, session.policy))
    for policy_id, rows in watching.items():
        taken = torch.from_numpy(np.stack([actions[i] for i, _ in rows])).to(shelf.device)
        seen = torch.from_numpy(np.stack([outcomes[i].frame for i, _ in rows]))
        lanes = [lane for _, lane in rows]
        watch(shelf.policy(policy_id), lanes, taken, to_float(seen).to(shelf.device))


def _ended_step(ready: Ready, action: Action, outcome: Outcome) -> Reply:
    session, step, world = ready
    assert session.asked is not None
    session.t += 1
    session.total += outcome.reward
    truncated = session.t >= session.asked.max_steps and not outcome.terminated
    session.ended = outcome.terminated or truncated
    if session.recording is not None:
        session.recording.add(action, outcome.frame, outcome.reward, outcome.terminated)
    obs_type, encoding = wanted(session.asked, step)
    told = {
        "reward": outcome.reward,
        "terminated": outcome.terminated,
        "truncated": truncated,
        "action": [round(float(a), 6) for a in action],
        "driver": "human" if step.action is not None else "policy",
    }
    return shown(session, obs_type, encoding, world, told)
