"""What a caller is told: the state of a session, the sizes of a model, or why not."""

from typing import Any, NamedTuple

from core.jobs.simulation import Encoding, Reset, Step
from core.simulation.errors import Refused
from core.simulation.pictures import encode
from core.simulation.sessions import Session
from core.simulation.shelf import LoadedWorld


class Reply(NamedTuple):
    """Facts, and bytes beside them."""

    header: dict[str, Any]
    body: bytes = b""


Answer = Reply | Refused


def wanted(asked: Reset, step: Step) -> tuple[str, Encoding]:
    """Kind and encoding of the observation that a step is answered with."""
    obs_type = step.obs_type or asked.obs_type
    encoding = step.encoding
    if encoding is None:
        same = obs_type == asked.obs_type
        encoding = asked.encoding if same else "raw_f16" if obs_type == "latent" else "raw_u8"
    return obs_type, encoding


def shown(
    session: Session, obs_type: str, encoding: Encoding, world: LoadedWorld, told: dict[str, Any]
) -> Reply:
    """Where a session is now, with its frame; `told` is what else there is to tell."""
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


def facts(world: LoadedWorld) -> dict[str, Any]:
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
