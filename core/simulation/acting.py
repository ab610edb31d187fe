"""Policies that are asked for actions: the caller has the world, and sends what it observes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from core.global_model.model import to_float
from core.jobs.simulation import Act
from core.simulation.answers import Answer, Reply
from core.simulation.errors import Refused
from core.simulation.lanes import PolicyLane, blank_policy_lane, decide, watch
from core.simulation.pictures import fitted
from core.simulation.sessions import Session, Sessions
from core.simulation.shelf import LoadedPolicy, Shelf


def act_all(
    asked: Sequence[tuple[str, Act, bytes]], sessions: Sessions, shelf: Shelf, most_rows: int
) -> list[Answer]:
    """Actions for each owner's observations; a session takes at most `most_rows` of them."""
    answers: list[Answer | None] = [None] * len(asked)
    groups: dict[str, list[_Row]] = {}
    policies: dict[str, LoadedPolicy] = {}
    taken: set[str] = set()
    for i, (owner, one, data) in enumerate(asked):
        try:
            if one.session_id in taken:
                told = "its reply has not come yet: wait for it, then send the next observation"
                raise Refused(409, "The session is busy", told)
            policies[one.policy] = policy = shelf.policy(one.policy)
            noise = _noise(one, policy).to(shelf.device)
            session, frames = _observed(owner, one, data, policy, sessions, most_rows)
            taken.add(session.id)
            row = _Row(i, session, frames.to(shelf.device), noise)
            groups.setdefault(one.policy, []).append(row)
        except Refused as refusal:
            answers[i] = refusal
    for policy_id, rows in groups.items():
        for i, reply in _replies(policies[policy_id], rows):
            answers[i] = reply
    return [a for a in answers if a is not None]


class _Row(NamedTuple):
    """One session's part of a batch."""

    number: int
    session: Session
    frames: torch.Tensor
    noise: torch.Tensor


def _replies(policy: LoadedPolicy, rows: Sequence[_Row]) -> Iterator[tuple[int, Reply]]:
    """What one policy does in all sessions that asked it."""
    lanes = [row.session.policy for row in rows if row.session.policy is not None]
    frames = torch.cat([row.frames for row in rows])
    watch(policy, lanes, torch.cat([ln.last for ln in lanes]), frames)
    actions = decide(policy, lanes, torch.cat([row.noise for row in rows]))
    at = 0
    for (i, session, *_), lane in zip(rows, lanes, strict=True):
        lane.last = actions[at : at + len(lane.last)]
        at += len(lane.last)
        session.t += 1
        told = {"session_id": session.id, "t": session.t, "actions": lane.last.tolist()}
        yield i, Reply(told)


def _noise(one: Act, policy: LoadedPolicy) -> torch.Tensor:
    """(rows, A): what draws the actions, zeros for the likeliest ones."""
    shape = one.shape[0], policy.actor.config.action_dim
    if one.noise is None:
        return torch.zeros(shape)
    if [len(row) for row in one.noise] != [shape[1]] * shape[0]:
        told = f"noise: give {shape[0]} rows of {shape[1]} numbers"
        raise Refused(422, "noise does not fit", told)
    return torch.tensor(one.noise)


def _observed(
    owner: str, one: Act, data: bytes, policy: LoadedPolicy, sessions: Sessions, most_rows: int
) -> tuple[Session, torch.Tensor]:
    """The session of a policy's caller, and its frames in [-1, 1]."""
    session = _asking(owner, one, sessions, most_rows)
    try:
        pixels = np.frombuffer(data, np.uint8).reshape(one.shape)
        pixels = fitted(pixels, policy.local.config.image_size)
    except ValueError as error:
        raise Refused(422, "Not an observation", f"observations: {error}") from error
    if session is None:
        session = sessions.new(owner)
        session.policy = blank_policy_lane(policy, one.shape[0])
    elif one.reset is not None and session.policy is not None:
        _forget(policy, session.policy, one.reset)
    return session, to_float(torch.from_numpy(pixels.copy()))


def _asking(owner: str, one: Act, sessions: Sessions, most_rows: int) -> Session | None:
    """The session that is named, if one is. Raises `Refused` if it cannot take these rows."""
    rows = one.shape[0]
    if one.session_id is None:
        if rows > most_rows:
            told = f"{rows} observations; a session takes {most_rows}"
            raise Refused(422, "Too many observations", told)
        session = None
    else:
        session = sessions.get(owner, one.session_id)
        if session.policy is None or session.policy.policy_id != one.policy or session.lane:
            raise Refused(409, "The session is not this policy's", f"it does not ask {one.policy}")
        if len(session.policy.last) != rows:
            told = f"it began with {len(session.policy.last)} observations, now there are {rows}"
            raise Refused(422, "Another number of observations", told)
    if one.reset is not None and len(one.reset) != rows:
        raise Refused(422, "reset does not fit", f"reset: {len(one.reset)} values, {rows} rows")
    return session


def _forget(policy: LoadedPolicy, lane: PolicyLane, which: Sequence[bool]) -> None:
    """Rows that begin anew remember nothing."""
    blank = blank_policy_lane(policy, len(which))
    mask = torch.tensor(which, device=lane.last.device)[:, None]
    lane.last = torch.where(mask, blank.last, lane.last)
    pairs = zip(blank.state, lane.state, strict=True)
    lane.state = type(lane.state)(*(torch.where(mask, new, old) for new, old in pairs))
