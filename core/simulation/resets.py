"""What a reset takes over from the episode before, and whether its parts fit together."""

from core.jobs.simulation import Reset
from core.simulation.errors import Refused
from core.simulation.recording import Recording
from core.simulation.sessions import Session
from core.simulation.shelf import LoadedPolicy, LoadedWorld

_OF_ONE_EPISODE = frozenset({"session_id", "seed", "episode", "frame", "window"})


def merged(before: Reset, asked: Reset) -> Reset:
    """What is asked for, and the rest as it was."""
    kept = before.model_dump(exclude=set(_OF_ONE_EPISODE))
    given = asked.model_dump(exclude_unset=True)
    if given.get("episode") is not None or given.get("window") is not None:
        kept["start"] = "dataset"
    try:
        return Reset.model_validate(kept | given)
    except ValueError as error:
        raise Refused(422, "The fields do not go together", str(error)) from error


def check_match(world: LoadedWorld, policy: LoadedPolicy | None) -> None:
    """Raises `Refused` if the policy sees or does something else than the model knows."""
    if policy is None:
        return
    sizes = [(m.image_size, m.action_dim) for m in (world.model.config, policy.local.config)]
    if sizes[0] != sizes[1]:
        told = "policy: model and policy differ in (pixels, actions): {} and {}".format(*sizes)
        raise Refused(422, "The policy does not fit the model", told)


def next_recording(session: Session, asked: Reset, most_steps: int) -> Recording | None:
    """Begin an episode in the session's recording, which goes on through resets in one world."""
    if not asked.record:
        return None
    before = session.asked
    kept = session.recording
    if before is None or (before.model, before.world) != (asked.model, asked.world):
        kept = None
    kept = kept or Recording(most_steps)
    assert session.lane is not None
    kept.begin(session.lane.frame)
    return kept
