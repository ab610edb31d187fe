"""Episodes of datasets, chosen, cut and labelled, as the episodes of a new one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.data.dataset import FILES, Dataset, EpisodeInfo
from core.data.episode import MIN_FRAMES, Episode
from core.jobs.rewards import GoalFrame
from core.jobs.spec import DeriveSpec

_PER_STEP = frozenset({"actions", "reward", "terminated"})
_ALIKE = ("fps", "action_kind", "image_size", "action_dim", "state_dim")


@dataclass(frozen=True)
class Part:
    """Frames start..stop of an episode, which is number `n` over all sources."""

    dataset: Dataset
    info: EpisodeInfo
    n: int
    start: int
    stop: int


def parts(sources: Sequence[Dataset], spec: DeriveSpec) -> list[Part]:
    """What the new dataset is made of, in order; `ValueError` for numbers that do not exist."""
    check_alike(sources)
    found = [(d, e) for d in sources for e in d.episodes]
    asked = (*spec.drop, *(spec.keep or ()), *spec.cuts, *spec.tags, *spec.success)
    goals = [g.episode for g in spec.goals]
    for n in (*asked, *goals):
        if not 0 <= n < len(found):
            raise ValueError(f"there is no episode {n}: they are 0 to {len(found) - 1}")
    order = range(len(found)) if spec.keep is None else spec.keep
    dropped = frozenset(spec.drop)
    return [p for n in order if n not in dropped for p in _cut(*found[n], n, spec.cuts.get(n, ()))]


def check_alike(sources: Sequence[Dataset]) -> None:
    """`ValueError` if datasets cannot be put together, with what differs."""
    first = sources[0].meta
    for other in sources[1:]:
        for what in _ALIKE:
            here, there = getattr(first, what), getattr(other.meta, what)
            if here != there:
                raise ValueError(
                    f"{first.name} and {other.meta.name} cannot be merged: {what} is {here} in one "
                    f"and {there} in the other; ingest one of them again with other options"
                )


def common_fields(sources: Sequence[Dataset], spec: DeriveSpec) -> tuple[str, ...]:
    """Fields that all sources have; labels are a field as soon as one is given."""
    shared = set.intersection(*(set(d.fields()) for d in sources))
    return tuple(f for f in FILES if f in shared or (f == "success" and spec.success))


def episode_of(part: Part, fields: Sequence[str], spec: DeriveSpec) -> Episode:
    """The part as an episode of its own, with the labels that were given."""
    first = part.info.start + part.start
    values: dict[str, np.ndarray] = {}
    for field in fields:
        rows = getattr(part.dataset, field)
        if rows is not None:
            stop = part.info.start + part.stop - (field in _PER_STEP)
            values[field] = np.array(rows[first:stop])
    length = part.stop - part.start
    if "success" in fields:
        values["success"] = _success(part, values.get("success"), spec)
    if "terminated" in values:
        values["terminated"] = values["terminated"].astype(bool)
    is_whole = length == part.info.length
    place = part.info.source
    source = place if is_whole else f"{place}, frames {part.start} to {part.stop - 1}"
    return Episode(source=source, **values)


def goals_of(made: Sequence[Part], spec: DeriveSpec) -> Iterator[GoalFrame]:
    """Goal frames by their place in the new dataset; `ValueError` if one is not in it."""
    for goal in spec.goals:
        for new, part in enumerate(made):
            frame = goal.frame % part.info.length if _inside(goal.frame, part.info.length) else -1
            if part.n == goal.episode and part.start <= frame < part.stop:
                yield GoalFrame(episode=new, frame=frame - part.start)
                break
        else:
            raise ValueError(f"goal {goal} is not among the frames that are kept")


def _success(part: Part, logged: np.ndarray | None, spec: DeriveSpec) -> np.ndarray:
    """(L,) bool: as logged, or from the frame that was said on."""
    length = part.stop - part.start
    if part.n not in spec.success:
        return np.zeros(length, bool) if logged is None else logged.astype(bool)
    since = spec.success[part.n]
    if since is None:
        return np.zeros(length, bool)
    if not _inside(since, part.info.length):
        raise ValueError(
            f"success of episode {part.n} is said to start at frame {since}: its frames are 0 to "
            f"{part.info.length - 1}, or -1 for the last one"
        )
    return np.arange(part.start, part.stop) >= since % part.info.length


def _inside(frame: int, length: int) -> bool:
    return -length <= frame < length


def _cut(dataset: Dataset, info: EpisodeInfo, n: int, cuts: Sequence[int]) -> Iterator[Part]:
    edges = [0, *sorted(cuts), info.length]
    for start, stop in pairwise(edges):
        if stop - start < MIN_FRAMES or start < 0:
            raise ValueError(
                f"episode {n} has {info.length} frames and cannot be cut at {list(cuts)}: every "
                f"part needs at least {MIN_FRAMES} frames"
            )
        yield Part(dataset, info, n, start, stop)
