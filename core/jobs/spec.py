"""What may be asked of the service: one frozen model per job kind, unknown fields refused."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from core.jobs.rewards import GoalFrame, RewardChoice

ArtifactId = Annotated[str, Field(pattern=r"^[a-z]{2,4}_[0-9a-z]{8,32}$")]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Spec(BaseModel):
    """Base of all specs; `spec.json` beside every artifact is one of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")


LogUpload = Annotated[ArtifactId, Field(description="Finished upload that holds the logs")]
LogFormat = Annotated[
    Literal["auto", "lerobot", "hdf5", "npz", "zarr", "rlds", "bag", "video", "frames"],
    Field(description="Format of the logs"),
]
KeyMapping = Annotated[
    dict[str, str],
    Field(description="Canonical field to key in the logs, e.g. {'action': 'cmd_vel'}"),
]
Crop = Annotated[
    tuple[int, int, int, int] | None,
    Field(description="Part of the pictures to keep, in pixels: left, top, width, height"),
]
Fit = Annotated[
    Literal["squeeze", "crop", "pad"],
    Field(description="How pictures that are not square become square"),
]
Flip = Annotated[
    Literal["none", "horizontal", "vertical", "both"],
    Field(description="Mirror the pictures left to right, upside down, or both"),
]
ColorOrder = Annotated[Literal["rgb", "bgr"], Field(description="Order of the logged colours")]


class DetectSpec(Spec):
    """What an upload holds and how it would be read, with pictures; makes no dataset."""

    kind: Literal["detect"] = "detect"
    upload: LogUpload
    format: LogFormat = "auto"
    mapping: KeyMapping = {}
    crop: Crop = None
    fit: Fit = "squeeze"
    flip: Flip = "none"
    color_order: ColorOrder = "rgb"


class IngestSpec(Spec):
    """Uploaded logs to a validated, versioned, immutable dataset."""

    kind: Literal["ingest"] = "ingest"
    upload: LogUpload
    name: Name = Field(description="Name of the dataset")
    format: LogFormat = "auto"
    mapping: KeyMapping = {}
    image_size: int | None = Field(
        None, ge=16, le=512, multiple_of=8, description="Side of the stored square frames in pixels"
    )
    fps: float = Field(
        10.0, gt=0, le=1000, description="Rate of the logs in Hz, if they carry none"
    )
    action_kind: Literal["absolute", "delta"] = Field("delta", description="Meaning of an action")
    bad_episodes: Literal["drop", "trim", "fail"] = Field(
        "drop",
        description="Leave broken episodes out, keep the longest good part of each, or refuse all",
    )
    crop: Crop = None
    fit: Fit = "squeeze"
    flip: Flip = "none"
    color_order: ColorOrder = "rgb"
    target_fps: float | None = Field(
        None, gt=0, le=1000, description="Rate to resample to in Hz; none keeps the logged rows"
    )
    resample: Literal["hold", "nearest", "interpolate"] = Field(
        "hold", description="Value between two logged ones: the earlier, the nearer, or a mix"
    )
    relative_actions: Literal["none", "previous", "state"] = Field(
        "none", description="Make actions relative to the action before, or to the state"
    )
    time_tolerance: float | None = Field(
        None, gt=0, le=60, description="Seconds a time stamp may be off; half a frame if none"
    )
    episode_gap: float = Field(
        2.0, gt=0, le=3600, description="Seconds of silence that end an episode of a bag"
    )
    episode_topic: str | None = Field(
        None, max_length=200, description="Topic of a bag whose messages start a new episode"
    )
    bag_clock: Literal["log", "header"] = Field(
        "log", description="Time of a bag's message: when it was written, or its own stamp"
    )
    units: dict[str, str] = Field(
        default_factory=dict, description="Unit of a field, e.g. {'actions': 'm/s'}"
    )
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="Share of episodes held out")
    seed: Seed = Field(0, description="Seed of the train/validation split")


Tag = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f,]+$")]
EpisodeNumber = Annotated[int, Field(ge=0)]


class DeriveSpec(Spec):
    """Episodes of datasets, chosen, cut and labelled, as a new dataset.

    Episodes count from 0 over `dataset` and then the merged ones, as they were before any change.
    """

    kind: Literal["derive"] = "derive"
    dataset: ArtifactId = Field(description="Dataset to start from")
    name: Name = Field(description="Name of the new dataset")
    merge: tuple[ArtifactId, ...] = Field(
        (), max_length=32, description="Datasets whose episodes are put behind"
    )
    keep: tuple[EpisodeNumber, ...] | None = Field(
        None, description="Episodes to keep, in this order; all if none"
    )
    drop: tuple[EpisodeNumber, ...] = Field((), description="Episodes to leave out")
    cuts: dict[EpisodeNumber, tuple[int, ...]] = Field(
        {}, description="Episode to the frames at which a new episode starts"
    )
    tags: dict[EpisodeNumber, tuple[Tag, ...]] = Field(
        {}, description="Episode to its tags; others keep theirs"
    )
    success: dict[EpisodeNumber, int | None] = Field(
        {},
        description="Episode to the frame from which the task is solved; -1 is the last one, none "
        "says that it never is",
    )
    goals: tuple[GoalFrame, ...] = Field(
        (), max_length=64, description="Frames that show the goal, as episode:frame"
    )
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="Share held out, if the splits of the sources cannot be kept"
    )
    seed: Seed = 0


class Kind(StrEnum):
    """The job kinds; each has a spec, a queue and a runner."""

    DETECT = "detect"
    INGEST = "ingest"
    DERIVE = "derive"
    GLOBAL_MODEL = "global_model"
    LOCAL_MODEL = "local_model"
    POLICY = "policy"
    EVALUATE = "evaluate"
    ROLLOUT = "rollout"
    EXPORT = "export"
    POLICY_EXPORT = "policy_export"


LiveliestOf = Annotated[
    int,
    Field(
        ge=1,
        le=16,
        description="Windows drawn for each place of a batch, of which the one where most moves is "
        "kept; 1: uniform. For logs in which contact is rare",
    ),
]


StartFrom = Annotated[
    ArtifactId | None,
    Field(
        description="Model of this kind and these sizes whose training goes on, on logs that were "
        "added since, say; none: from nothing"
    ),
]


class GlobalModelSpec(RewardChoice, Spec):
    """Diffusion world model and its reward model, trained on one dataset."""

    kind: Literal["global_model"] = "global_model"
    dataset: ArtifactId = Field(description="Dataset to learn from")
    context: int = Field(2, ge=1, le=16, description="Past frames that condition the next")
    patch: int = Field(4, ge=1, le=8, description="Side of the pixel patch folded into channels")
    channels: tuple[int, ...] = Field(
        (64, 64), min_length=1, description="U-Net channels per level"
    )
    layers_per_block: int = Field(1, ge=1, le=4, description="Residual layers per level")
    start_from: StartFrom = None
    steps: int = Field(1500, ge=1, description="Optimizer steps of the denoiser")
    batch_size: int = Field(24, ge=1, description="Windows per step")
    liveliest_of: LiveliestOf = 1
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate")
    sigma_mean: float = Field(3.7, description="Mean of log sigma in training")
    sigma_std: float = Field(0.5, gt=0, description="Standard deviation of log sigma in training")
    sigma_max: float = Field(40.0, gt=0, description="Noise level that sampling starts from")
    context_noise: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="Largest noise on past frames in training, in units of [-1, 1]",
    )
    autoregressive_steps: int = Field(
        3,
        ge=1,
        le=16,
        description="Frames trained in a row, each from the model's own earlier ones",
    )
    num_denoising_steps: int = Field(1, ge=1, le=50, description="Euler steps per imagined frame")
    ema_decay: float = Field(0.995, ge=0, lt=1, description="Decay of the averaged weights")
    reward_steps: int = Field(1000, ge=0, description="Optimizer steps of the reward model")
    reward_change_weight: float = Field(
        1.0,
        ge=0,
        description="Weight of the logged reward's change over a step beside its value, each in "
        "its own deviation",
    )
    success_discount: float = Field(
        0.9,
        ge=0,
        lt=1,
        description="How much a frame counts as success per step before it, for the success "
        "reward's slope; 0: not at all",
    )
    goal_horizon: int = Field(
        40,
        ge=6,
        description="Most steps that a piece of an episode spans when the ranking reward trains: "
        "enough for what matters to change",
    )
    compile: bool = Field(
        False, description="Compile the denoiser: minutes at the start, faster steps on a GPU"
    )
    save_every: int = Field(200, ge=1, description="Steps between checkpoints")
    log_every: int = Field(10, ge=1, description="Steps between metrics")
    seed: Seed = 0


class LocalModelSpec(Spec):
    """RSSM with reward and state heads, the model that gradients flow through."""

    kind: Literal["local_model"] = "local_model"
    dataset: ArtifactId = Field(description="Dataset to learn from")
    global_model: ArtifactId | None = Field(
        None,
        description="Global model whose reward model labels the real segments and that "
        "distillation asks; needed where rewards are not logged",
    )
    distillation_every: int = Field(
        0,
        ge=0,
        description="Steps between steps that also learn from counterfactual pairs; 0: none",
    )
    distillation_pairs: int = Field(32, ge=1, description="Counterfactual pairs per such step")
    deter: int = Field(256, ge=16, description="Width of the recurrent state")
    stoch: int = Field(32, ge=2, description="Width of the Gaussian latent")
    hidden: int = Field(256, ge=16, description="Width of prior, posterior and heads")
    units: int = Field(512, ge=16, description="Width of encoder and decoder")
    segment: int = Field(16, ge=6, description="Frames per training segment")
    batch_size: int = Field(32, ge=1, description="Segments per step")
    liveliest_of: LiveliestOf = 1
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate")
    start_from: StartFrom = None
    steps: int = Field(2200, ge=1, description="Optimizer steps")
    save_every: int = Field(200, ge=1, description="Steps between checkpoints")
    log_every: int = Field(10, ge=1, description="Steps between metrics")
    seed: Seed = 0


class PolicySpec(Spec):
    """A policy trained in imagination with decoupled first-order gradients, or a baseline of it."""

    kind: Literal["policy"] = "policy"
    method: Literal["fog", "rssm_only", "behaviour_cloning"] = Field(
        "fog",
        description="Global model's trajectories with local gradients; or the local model's dream "
        "alone; or a copy of the logged actions",
    )
    dataset: ArtifactId = Field(description="Dataset that imagined rollouts start from")
    global_model: ArtifactId = Field(description="Model that makes the trajectories")
    local_model: ArtifactId = Field(description="Model that gives the gradients")
    steps: int = Field(120, ge=1, description="Imagined rollouts")
    environments: int = Field(72, ge=1, description="Imagined environments side by side")
    horizon: int = Field(16, ge=1, description="Imagined steps per rollout, H")
    max_age: int = Field(16, ge=1, description="Imagined steps before a restart from real frames")
    burn_in: int = Field(4, ge=1, description="Real frames filtered before imagination starts")
    gamma: float = Field(0.97, gt=0, lt=1, description="Discount")
    lam: float = Field(0.95, ge=0, le=1, description="Lambda of the critic's targets")
    actor_updates: int = Field(6, ge=1, description="Actor steps per rollout")
    critic_updates: int = Field(4, ge=1, description="Critic steps per rollout")
    local_updates: int = Field(
        0, ge=0, description="Steps of the local model per rollout, on real and imagined segments"
    )
    distillation_every: int = Field(
        0,
        ge=0,
        description="Rollouts between those whose states give counterfactual pairs; 0: none",
    )
    distillation_pairs: int = Field(32, ge=1, description="Counterfactual pairs per such rollout")
    critic_weight: float = Field(
        0.0, ge=0, le=1, description="Weight of the terminal value in the actor's objective"
    )
    critic_warm_up: int = Field(40, ge=0, description="Rollouts until that weight is reached")
    actor_learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate of the actor")
    max_grad_norm: float = Field(
        0.5,
        gt=0,
        description="In imagination the actor's gradient is clipped to it, rewards counted in "
        "their deviation; cloning has a clip of its own",
    )
    critic_learning_rate: float = Field(1e-3, gt=0, description="Learning rate of the critics")
    local_learning_rate: float = Field(1e-4, gt=0, description="Learning rate of the local model")
    initial_temperature: float = Field(
        0.04, gt=0, description="Entropy weight at the start, in units of the reward's deviation"
    )
    target_entropy: float = Field(-0.5, description="Entropy to keep, per action dimension")
    replay_segments: int = Field(
        768, ge=1, description="Imagined segments kept for the local model"
    )
    clone_share: float = Field(
        1.0, gt=0, le=1, description="Share of the episodes, the best first, that cloning copies"
    )
    cloning_steps: int = Field(
        0,
        ge=0,
        description="Steps of cloning before imagination: start from a policy that does what the "
        "best clone_share of the logs did; 0: from nothing",
    )
    local_batch_size: int = Field(32, ge=1, description="Segments of each kind in such a step")
    compile: bool = Field(
        False, description="Compile the sampler: minutes at the start, faster rollouts on a GPU"
    )
    alarm_every: int = Field(
        10,
        ge=0,
        description="Rollouts between checks that imagination is still like the data; 0: none",
    )
    alarm_patience: int = Field(
        3, ge=1, description="Checks in a row above a limit, with rising reward, that are an alarm"
    )
    on_alarm: Literal["record", "stop"] = Field(
        "record",
        description="Go on and say so in the result, or end with the best policy before it",
    )
    alarm_disagreement: float = Field(
        2.5,
        gt=0,
        description="Limit on the difference of two samples of a step, 1: as on held-out frames",
    )
    alarm_data_distance: float = Field(
        1.5,
        gt=0,
        description="Limit on the distance to the data, 1: farther than 95 % of held-out frames",
    )
    alarm_surprise: float = Field(
        2.5, gt=0, description="Limit on the local model's surprise, 1: as on held-out frames"
    )
    alarm_reward_gap: float = Field(
        4.0, gt=0, description="Limit on the models' reward gap, 1: as on held-out frames"
    )
    save_every: int = Field(50, ge=1, description="Steps between checkpoints")
    log_every: int = Field(1, ge=1, description="Steps between metrics")
    seed: Seed = 0

    @model_validator(mode="after")
    def _segments_hold_a_pair(self) -> Self:
        if self.distillation_every and self.horizon <= self.burn_in + 1:
            raise ValueError(
                f"counterfactual pairs need imagined segments longer than burn_in + 1 steps: "
                f"raise horizon ({self.horizon}) above {self.burn_in + 1}, or set "
                "distillation_every to 0"
            )
        return self


class EvaluateSpec(Spec):
    """Fidelity, gradient cosine and true success, each with its interval."""

    kind: Literal["evaluate"] = "evaluate"
    dataset: ArtifactId
    global_model: ArtifactId
    local_model: ArtifactId | None = None
    policy: ArtifactId | None = None
    task: Literal["push_disc", "push_t"] | None = Field(
        None, description="True simulator that judges the policy, if the task has one"
    )
    episodes: int = Field(100, ge=1, description="Episodes of the policy in the true simulator")
    horizon: int = Field(20, ge=1, description="Imagined steps compared with held-out episodes")
    seed: Seed = 0


class RolloutSpec(Spec):
    """Imagined rollouts rendered beside the real episodes they start from."""

    kind: Literal["rollout"] = "rollout"
    dataset: ArtifactId
    global_model: ArtifactId
    local_model: ArtifactId | None = None
    policy: ArtifactId | None = None
    task: Literal["push_disc", "push_t"] | None = Field(
        None, description="True simulator to show the policy in, if the task has one"
    )
    episodes: int = Field(4, ge=1, le=64, description="Held-out episodes to imagine")
    horizon: int = Field(40, ge=1, description="Imagined steps")
    seed: Seed = 0


class ExportSpec(Spec):
    """A dataset, or imagined rollouts, as LeRobot v3.0: other tools open it."""

    kind: Literal["export"] = "export"
    source: ArtifactId = Field(description="Dataset, or imagined rollouts, to export")
    pictures: Literal["h264", "av1", "png"] = Field(
        "h264", description="Videos that play everywhere, smaller ones, or pictures without loss"
    )


class PolicyExportSpec(Spec):
    """A policy as files that run without this service: in float32, all chance an input."""

    kind: Literal["policy_export"] = "policy_export"
    policy: ArtifactId = Field(description="Policy to export")
    formats: tuple[Literal["safetensors", "torch", "onnx"], ...] = Field(
        ("safetensors", "torch", "onnx"),
        min_length=1,
        description="Weights with their sizes, a torch.export program, an ONNX graph",
    )
    dataset: ArtifactId | None = Field(
        None, description="Dataset whose frames check the export; the policy's own if none"
    )
    tolerance: float = Field(
        1e-5, gt=0, description="Largest difference of an action from the original's"
    )


JobSpec = Annotated[
    DetectSpec
    | IngestSpec
    | DeriveSpec
    | GlobalModelSpec
    | LocalModelSpec
    | PolicySpec
    | EvaluateSpec
    | RolloutSpec
    | ExportSpec
    | PolicyExportSpec,
    Field(discriminator="kind"),
]
SPECS: dict[Kind, type[Spec]] = {
    Kind.DETECT: DetectSpec,
    Kind.INGEST: IngestSpec,
    Kind.DERIVE: DeriveSpec,
    Kind.GLOBAL_MODEL: GlobalModelSpec,
    Kind.LOCAL_MODEL: LocalModelSpec,
    Kind.POLICY: PolicySpec,
    Kind.EVALUATE: EvaluateSpec,
    Kind.ROLLOUT: RolloutSpec,
    Kind.EXPORT: ExportSpec,
    Kind.POLICY_EXPORT: PolicyExportSpec,
}
_NO_LEARNING = (Kind.DETECT, Kind.INGEST, Kind.DERIVE, Kind.EXPORT)
QUEUES: dict[Kind, str] = {k: "ingest" if k in _NO_LEARNING else "gpu" for k in Kind}
PREFIXES: dict[Kind, str] = {
    Kind.DETECT: "de",
    Kind.INGEST: "ds",
    Kind.DERIVE: "ds",
    Kind.GLOBAL_MODEL: "gm",
    Kind.LOCAL_MODEL: "lm",
    Kind.POLICY: "pi",
    Kind.EVALUATE: "ev",
    Kind.ROLLOUT: "ro",
    Kind.EXPORT: "ex",
    Kind.POLICY_EXPORT: "ex",
}
"""Prefix of the id of the artifact that a job of this kind makes."""

spec_adapter: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)


def inputs(spec: Spec) -> dict[str, str]:
    """Artifact ids that a spec reads, by field."""
    fields = ("upload", "dataset", "global_model", "local_model", "policy", "source", "start_from")
    found = {f: v for f in fields if (v := getattr(spec, f, None)) is not None}
    return found | {f"merge.{i}": v for i, v in enumerate(getattr(spec, "merge", ()))}
