"""Whether the models of a policy were taught the same reward."""

import json
from pathlib import Path
from typing import Any

from core.artifacts import StagePaths
from core.jobs.spec import PolicySpec


def check_same_reward(spec: PolicySpec, paths: StagePaths) -> None:
    """Refuse a local model whose reward head learned another reward than the global model gives.

    The gradient would follow one reward and the critics another. A model stored without its spec
    is let through.
    """
    given = reward_source(spec.global_model, paths)
    local = _read(paths.artifacts.model(spec.local_model) / "spec.json")
    if local is None or given is None:
        return
    teacher = local.get("global_model")
    learned = "logged" if teacher is None else reward_source(teacher, paths)
    if learned is not None and learned != given:
        raise ValueError(
            f"local model {spec.local_model} learned {_told(learned)}, but the policy would earn "
            f"{_told(given)}: train a local model with global_model set to {spec.global_model}"
        )


def reward_source(global_model: str, paths: StagePaths) -> str | None:
    """`logged`, or the id of the global model whose own words the reward is; None if unknown."""
    config = _read(paths.artifacts.model(global_model) / "config.json")
    if config is None:
        return None
    return "logged" if config.get("reward", "logged") == "logged" else global_model


def _told(source: str) -> str:
    return "logged rewards" if source == "logged" else f"the reward of global model {source}"


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    values: dict[str, Any] = json.loads(path.read_text())
    return values
