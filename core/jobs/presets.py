"""Presets: functions that return the specs of a whole pipeline."""

import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum

from core.jobs.rewards import GoalFrame, RewardKind
from core.jobs.spec import (
    PREFIXES,
    EvaluateSpec,
    GlobalModelSpec,
    IngestSpec,
    Kind,
    LocalModelSpec,
    PolicySpec,
    RolloutSpec,
    Spec,
)


class Preset(StrEnum):
    """How much a pipeline may cost, in rising order; `COSTS` says it in words."""

    SMOKE = "smoke"
    DEMO = "demo"
    DEMO_LONG = "demo_long"
    SINGLE_GPU = "single_gpu"
    PAPER = "paper"


COSTS: Mapping[Preset, str] = {
    Preset.SMOKE: "every part once, a minute or two on 2 cores; learns nothing worth having",
    Preset.DEMO: "the README's main job at 32 pixels, about a quarter of an hour on 2 cores",
    Preset.DEMO_LONG: "as demo, trained longer and on what moves, for harder tasks such as push_t: "
    "about two hours on 2 cores",
    Preset.SINGLE_GPU: "64 pixels, 4.4 M parameter denoiser, 8 M imagined frames: "
    "estimated 2 to 6 hours on one GPU with 16 GB",
    Preset.PAPER: "96 pixels, 29.5 M parameter denoiser, 16 M imagined frames: "
    "estimated 1 to 2 days on one GPU with 48 GB",
}
"""What a preset is and costs, for people. The GPU figures are estimates from operation counts."""

_FEW_STEPS: dict[str, object] = {
    "num_denoising_steps": 3,
    "sigma_mean": 1.2,
    "sigma_std": 1.4,
    "sigma_max": 10.0,
    "ema_decay": 0.999,
}
"""Noise that covers the ladder of three sampling steps; the defaults are for a single one."""
_SHORT_GRADIENTS: dict[str, object] = {
    "horizon": 4,
    "max_age": 32,
    "critic_weight": 1.0,
    "critic_updates": 12,
    "critic_warm_up": 75,
    "actor_updates": 3,
    "actor_learning_rate": 1e-3,
    "max_grad_norm": 1.0,
}
"""Where contact makes gradients wild, short ones through many environments teach more than long ones
through few; a terminal value then tells the rest of the way (docs/ablations.md, push_t). Half of their
norms are above 0.85 once the policy acts: clipped to 0.5, all would count alike."""
_OVERRIDES: dict[Preset, dict[Kind, dict[str, object]]] = {
    Preset.SMOKE: {
        Kind.INGEST: {"image_size": 32},
        Kind.GLOBAL_MODEL: {"steps": 40, "reward_steps": 40, "save_every": 20, "batch_size": 16},
        Kind.LOCAL_MODEL: {"steps": 40, "save_every": 20},
        Kind.POLICY: {"steps": 4, "save_every": 2},
        Kind.EVALUATE: {"episodes": 4, "horizon": 10},
        Kind.ROLLOUT: {"episodes": 2, "horizon": 12},
    },
    Preset.DEMO: {Kind.INGEST: {"image_size": 32}},
    Preset.DEMO_LONG: {
        Kind.INGEST: {"image_size": 32},
        # Patches half as wide: in the same time, better in contact than with the defaults.
        Kind.GLOBAL_MODEL: {
            "patch": 2,
            "channels": (32, 64),
            "steps": 20_000,
            "liveliest_of": 3,
            "reward_steps": 3_000,
            "reward_change_weight": 0.1,
        },
        Kind.LOCAL_MODEL: {"steps": 10_000, "liveliest_of": 3},
        Kind.POLICY: {"steps": 200, "environments": 288, **_SHORT_GRADIENTS},
    },
    # DIAMOND's denoiser (Alonso et al. 2024): four levels of 64 channels, 4 past frames, 3 steps.
    Preset.SINGLE_GPU: {
        Kind.INGEST: {"image_size": 64},
        Kind.GLOBAL_MODEL: {
            "context": 4,
            "patch": 2,
            "channels": (64, 64, 64, 64),
            "layers_per_block": 3,
            "steps": 40_000,
            "batch_size": 64,
            "learning_rate": 3e-4,
            **_FEW_STEPS,
            "reward_steps": 5_000,
            "save_every": 2_000,
            "log_every": 50,
            "compile": True,
        },
        Kind.LOCAL_MODEL: {
            "deter": 512,
            "hidden": 512,
            "units": 1024,
            "stoch": 64,
            "batch_size": 64,
            "steps": 15_000,
            "learning_rate": 5e-4,
            "save_every": 1_000,
            "log_every": 50,
        },
        Kind.POLICY: {
            "steps": 1_000,
            "environments": 2_048,
            **_SHORT_GRADIENTS,
            "replay_segments": 4_096,
            "local_batch_size": 64,
            "save_every": 100,
            "compile": True,
        },
        Kind.EVALUATE: {"horizon": 40},
    },
    Preset.PAPER: {
        Kind.INGEST: {"image_size": 96},
        Kind.GLOBAL_MODEL: {
            "context": 4,
            "patch": 2,
            "channels": (128, 128, 256, 256),
            "layers_per_block": 2,
            "steps": 150_000,
            "batch_size": 64,
            "learning_rate": 2e-4,
            **_FEW_STEPS,
            "reward_steps": 10_000,
            "save_every": 5_000,
            "log_every": 50,
            "compile": True,
        },
        Kind.LOCAL_MODEL: {
            "deter": 1024,
            "hidden": 1024,
            "units": 1024,
            "stoch": 64,
            "segment": 32,
            "batch_size": 64,
            "steps": 40_000,
            "learning_rate": 3e-4,
            "save_every": 2_000,
            "log_every": 50,
        },
        Kind.POLICY: {
            "steps": 2_000,
            "environments": 512,
            "replay_segments": 4_096,
            "local_batch_size": 64,
            "save_every": 100,
            "compile": True,
        },
        Kind.EVALUATE: {"horizon": 60},
        Kind.ROLLOUT: {"horizon": 60},
    },
}


def described() -> str:
    """All presets with their costs, one after the other."""
    return "; ".join(f"{preset}: {cost}" for preset, cost in COSTS.items())


def overrides(preset: Preset, kind: Kind) -> Mapping[str, object]:
    """Fields in which a preset's spec of this kind is unlike the defaults."""
    return _OVERRIDES[preset].get(kind, {})


def image_size(preset: Preset) -> int:
    """Side of the frames that its models learn from, in pixels."""
    size = _OVERRIDES[preset][Kind.INGEST]["image_size"]
    assert isinstance(size, int)
    return size


def new_ids() -> dict[Kind, str]:
    """Fresh ids for the artifacts that a pipeline makes."""
    return {kind: f"{PREFIXES[kind]}_{secrets.token_hex(8)}" for kind in Kind}


def pipeline(
    preset: Preset,
    ids: Mapping[Kind, str],
    *,
    name: str,
    upload: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    reward: RewardKind = "logged",
    goals: Sequence[GoalFrame] = (),
    seed: int = 0,
) -> dict[Kind, Spec]:
    """Specs of the line from an upload, or from a dataset, to a judged policy; in running order.

    `ids` are the ids of the artifacts to be made, so that later specs can name earlier ones.
    """
    if (upload is None) == (dataset is None):
        raise ValueError("a pipeline starts from an upload or from a dataset: give one of the two")
    extra = _OVERRIDES[preset]
    data = {"dataset": dataset or ids[Kind.INGEST], "seed": seed}
    world = data | {"global_model": ids[Kind.GLOBAL_MODEL], "local_model": ids[Kind.LOCAL_MODEL]}
    judged = world | {"policy": ids[Kind.POLICY]}
    fields: dict[Kind, tuple[type[Spec], dict[str, object]]] = {
        Kind.GLOBAL_MODEL: (GlobalModelSpec, data | {"reward": reward, "goals": tuple(goals)}),
        Kind.LOCAL_MODEL: (LocalModelSpec, data | {"global_model": ids[Kind.GLOBAL_MODEL]}),
        Kind.POLICY: (PolicySpec, dict(world)),
        Kind.EVALUATE: (EvaluateSpec, judged | {"task": task}),
        Kind.ROLLOUT: (RolloutSpec, judged | {"task": task}),
    }
    specs: dict[Kind, Spec] = {}
    if upload is not None:
        asked = {"upload": upload, "name": name, "seed": seed}
        specs[Kind.INGEST] = IngestSpec.model_validate(asked | extra[Kind.INGEST])
    for kind, (spec, values) in fields.items():
        specs[kind] = spec.model_validate(values | extra.get(kind, {}))
    return specs
