"""Stage: the policy, trained in imagination."""

from pathlib import Path
from typing import Any

from core.artifacts import StagePaths
from core.data.dataset import Dataset
from core.global_model.model import GlobalModel
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.recorder import Recorder
from core.stages.rewards import check_same_reward
from core.stages.setup import device, open_dataset, open_model, seed_everything
from core.training.behaviour_cloning import train_behaviour_cloning
from core.training.labels import labelled
from core.training.policy import train_policy
from core.training.rssm_only import train_rssm_only


def run(spec: PolicySpec, paths: StagePaths, recorder: Recorder) -> dict[str, Any]:
    """Train and save actor and refreshed local model: the policy acts on that model's latent."""
    seed_everything(spec.seed)
    dataset = open_dataset(spec, paths)
    model = open_model(GlobalModel, spec.global_model, paths).to(device())
    local = open_model(LocalModel, spec.local_model, paths).to(device())
    features = local.config.deter + local.config.stoch
    actor = Actor(ActorConfig(features, local.config.action_dim)).to(device())
    check_same_reward(spec, paths)
    real = labelled(dataset, model)
    done = train(spec, actor, model, local, real, recorder, paths.checkpoints)
    actor.save(paths.out)
    (paths.out / "local").mkdir()
    local.save(paths.out / "local")
    return {
        "parameters": sum(p.numel() for p in actor.parameters()),
        "imagined_frames": done.get("rollouts", 0) * spec.environments * spec.horizon,
        **done,
    }


def train(
    spec: PolicySpec,
    actor: Actor,
    model: GlobalModel,
    local: LocalModel,
    real: Dataset,
    recorder: Recorder,
    checkpoints: Path,
) -> dict[str, Any]:
    """The loop of the spec's method; `real` has the rewards that the policy learns from.

    Returns what it adds to the job's result.
    """
    match spec.method:
        case "fog":
            if spec.compile:
                model.denoiser.compile_network()
            if spec.cloning_steps:
                # No metrics: the curve of a policy counts its imagined rollouts.
                quiet = {"steps": spec.cloning_steps, "log_every": spec.cloning_steps + 1}
                copied = spec.model_copy(update=quiet)
                place = checkpoints / "cloning"
                train_behaviour_cloning(copied, actor, local, real, recorder, place)
            return train_policy(spec, actor, model, local, real, recorder, checkpoints)
        case "rssm_only":
            train_rssm_only(spec, actor, local, real, recorder, checkpoints)
        case "behaviour_cloning":
            train_behaviour_cloning(spec, actor, local, real, recorder, checkpoints)
    return {}
