"""What may be asked of the simulator, and its limits; the API checks it, the engine reads it."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from core.jobs.spec import ArtifactId, Seed, Spec

SessionId = Annotated[str, Field(pattern=r"^ses_[0-9a-f]{40}$")]
World = Literal["model", "simulator"]
Encoding = Literal["raw_u8", "jpeg", "png", "raw_f16"]
ActionNumber = Annotated[FiniteFloat, Field(strict=True)]
ActionVector = Annotated[tuple[ActionNumber, ...], Field(min_length=1, max_length=256)]


class Reset(Spec):
    """Start an episode. With a `session_id`, in that session: what is not given stays as it was.

    Seed, episode, frame and window belong to one episode and never stay.
    """

    session_id: SessionId | None = Field(None, description="Session to start anew; none: a new one")
    model: ArtifactId | None = Field(None, description="Global model to imagine with")
    world: World = Field("model", description="The global model, or the task's true simulator")
    policy: ArtifactId | None = Field(
        None, description="Policy that acts in steps without an action"
    )
    start: Literal["dataset", "simulator"] = Field(
        "dataset",
        description="First frame: a logged one, or one of the task's true simulator; the true "
        "simulator starts both worlds alike for one seed",
    )
    seed: Seed | None = Field(None, description="Same seed and actions, same episode; none: random")
    episode: int | None = Field(None, ge=0, description="Logged episode to start in")
    frame: int | None = Field(None, ge=0, description="Frame of that episode, none: the first")
    window: int | None = Field(None, ge=0, description="Start at this window of training frames")
    max_steps: int = Field(200, ge=1, le=100_000, description="Steps until it is truncated")
    record: bool = Field(False, description="Keep what happens, to be saved as a dataset")
    obs_type: Literal["image", "latent"] = Field(
        "image", description="Pixels, or the patches that the model works on"
    )
    encoding: Encoding = Field("raw_u8", description="Of observations")

    @model_validator(mode="after")
    def _one_start(self) -> "Reset":
        given = [n for n in ("episode", "window") if getattr(self, n) is not None]
        if self.frame is not None and self.episode is None:
            raise ValueError("a frame is one of an episode: give episode, too")
        if len(given) > 1 or (given and (self.start == "simulator" or self.world == "simulator")):
            raise ValueError(
                "give one start: an episode, or a window, or start 'simulator'; the true simulator "
                "cannot start at a logged frame, for a picture does not tell its state"
            )
        if (self.obs_type == "latent") != (self.encoding == "raw_f16"):
            raise ValueError("encoding raw_f16 is for obs_type latent, and no other is")
        return self


class Step(Spec):
    """One step of one session."""

    session_id: SessionId
    action: ActionVector | None = Field(
        None, description="In [-1, 1], what is outside is clipped; none: the session's policy acts"
    )
    obs_type: Literal["image", "latent"] | None = Field(None, description="Else as in the reset")
    encoding: Encoding | None = Field(None, description="Else as in the reset")


class Close(Spec):
    """End a session."""

    session_id: SessionId


class Save(Spec):
    """Make a dataset of what a session recorded."""

    session_id: SessionId
    name: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Act(Spec):
    """Observations to a policy; they come as bytes beside."""

    policy: ArtifactId
    session_id: SessionId | None = None
    shape: tuple[int, int, int, int]
    """(batch, height, width, 3) of the bytes, u8."""
    reset: tuple[bool, ...] | None = None
    """Rows that begin an episode with this observation; none: no row, all in a new session."""
    noise: tuple[ActionVector, ...] | None = None
    """What draws the actions, standard normal numbers; none: the likeliest actions."""


class Limits(Spec):
    """How much the simulator takes on."""

    sessions: int = 256
    sessions_per_owner: int = 64
    rows_per_session: int = 256
    """Environments of one policy session."""
    idle_seconds: float = 300.0
    """A session that nobody used for so long has expired."""
    models: int = 4
    """Kept in memory; the one used least recently goes."""
    recorded_steps: int = 10_000
    """Of one session; what comes later is not recorded."""
