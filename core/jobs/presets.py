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
    """How much a pipeline may cost."""

    SMOKE = "smoke"
    """Every part once, about a minute on 2 cores; learns nothing worth having."""
    DEMO = "demo"
    """The README's main job: about a quarter of an hour on 2 cores."""


_OVERRIDES: dict[Preset, dict[Kind, dict[str, object]]] = {
    Preset.SMOKE: {
        Kind.GLOBAL_MODEL: {"steps": 40, "reward_steps": 40, "save_every": 20, "batch_size": 16},
        Kind.LOCAL_MODEL: {"steps": 40, "save_every": 20},
        Kind.POLICY: {"steps": 4, "save_every": 2},
        Kind.EVALUATE: {"episodes": 4, "horizon": 10},
        Kind.ROLLOUT: {"episodes": 2, "horizon": 12},
    },
    Preset.DEMO: {},
}


def overrides(preset: Preset, kind: Kind) -> Mapping[str, object]:
    """Fields in which a preset's spec of this kind is unlike the defaults."""
    return _OVERRIDES[preset].get(kind, {})


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
        specs[Kind.INGEST] = IngestSpec(upload=upload, name=name, image_size=32, seed=seed)
    for kind, (spec, values) in fields.items():
        specs[kind] = spec.model_validate(values | extra.get(kind, {}))
    return specs
