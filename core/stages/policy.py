"""Stage: the policy, trained in imagination."""

from typing import Any

from core.artifacts import StagePaths
from core.global_model.model import GlobalModel
from core.jobs.spec import PolicySpec
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor, ActorConfig
from core.recorder import Recorder
from core.stages.setup import device, open_dataset, open_model, seed_everything
from core.training.labels import labelled
from core.training.policy import train_policy


def run(spec: PolicySpec, paths: StagePaths, recorder: Recorder) -> dict[str, Any]:
    """Train and save actor and refreshed local model: the policy acts on that model's latent."""
    seed_everything(spec.seed)
    dataset = open_dataset(spec, paths)
    model = open_model(GlobalModel, spec.global_model, paths).to(device())
    local = open_model(LocalModel, spec.local_model, paths).to(device())
    features = local.config.deter + local.config.stoch
    actor = Actor(ActorConfig(features, local.config.action_dim)).to(device())
    real = labelled(dataset, model)
    train_policy(spec, actor, model, local, real, recorder, paths.checkpoints)
    actor.save(paths.out)
    (paths.out / "local").mkdir()
    local.save(paths.out / "local")
    return {
        "parameters": sum(p.numel() for p in actor.parameters()),
        "imagined_frames": spec.steps * spec.environments * spec.horizon,
    }
