"""The alarm of a policy in training: does it earn more and more where the models know nothing?"""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from core.evaluation.trust import Trust
from core.jobs.spec import PolicySpec
from core.policy.rollout import ImaginedRollout
from core.recorder import Recorder

log = logging.getLogger(__name__)
WORDS = {
    "disagreement": "two samples of an imagined step differed {:.1f} times as much as for real frames",
    "data_distance": "imagined frames were {:.1f} times as far from the data as nearly all real ones",
    "surprise": "imagined frames surprised the local model {:.1f} times as much as real ones",
    "reward_gap": "the two models' rewards lay {:.1f} times as far apart as on real frames",
}
"""What a measure of `Trust` says; real frames are held-out ones."""


class Alarm:
    """Looks at a rollout now and then, and remembers; a `Stateful`.

    It sounds when some measure was above its limit in each of the last `alarm_patience` checks
    while the imagined reward still rose: the policy then earns by what the models get wrong. The
    weights at the check that earned most, among those at which all was well, are kept.
    """

    def __init__(self, spec: PolicySpec, trust: Trust, modules: Mapping[str, nn.Module]) -> None:
        self.trust, self.modules = trust, modules
        self.every, self.patience = spec.alarm_every, spec.alarm_patience
        self.stops = spec.on_alarm == "stop"
        self.limits = {
            "disagreement": spec.alarm_disagreement,
            "data_distance": spec.alarm_data_distance,
            "surprise": spec.alarm_surprise,
            "reward_gap": spec.alarm_reward_gap,
        }
        self.memory: dict[str, Any] = {
            "sum": 0.0,  # of rewards since the last check; on the device, not to wait for it
            "rewards": [],
            "above": 0,
            "sounded": 0,
            "reason": "",
            "kept_rollout": 0,
            "kept_reward": 0.0,
            "kept": {},
        }

    def state_dict(self) -> dict[str, Any]:
        return self.memory

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.memory = state_dict

    def check(self, step: int, rollout: ImaginedRollout, recorder: Recorder) -> bool:
        """Take in the rollout of a step, counted from 1; True when training should end with it."""
        if not self.every:
            return False
        self.memory["sum"] = rollout.rewards.mean() + self.memory["sum"]
        if step % self.every:
            return False
        reward = float(self.memory["sum"]) / self.every
        self.memory["sum"] = 0.0
        measures = self.trust.measure(rollout, step)
        recorder.scalars(step, {f"policy/{name}": value for name, value in measures.items()})
        self.judge(step, reward, measures)
        return self.stops and self.sounded

    @property
    def sounded(self) -> bool:
        """Has there been an alarm?"""
        return bool(self.memory["sounded"])

    def judge(self, step: int, reward: float, measures: Mapping[str, float]) -> None:
        """One check: the mean imagined reward since the last one, and the measures."""
        m = self.memory
        m["rewards"].append(reward)
        over = {name: value / self.limits[name] for name, value in measures.items()}
        worst = max(over, key=over.__getitem__)
        if over[worst] <= 1:
            m["above"] = 0
            if not m["kept"] or reward > m["kept_reward"]:
                m |= {"kept_rollout": step, "kept_reward": reward, "kept": self._weights()}
            return
        m["above"] += 1
        if m["above"] >= self.patience and self._rising() and not self.sounded:
            said = WORDS[worst].format(measures[worst])
            m["sounded"] = step
            m["reason"] = f"{said} (limit {self.limits[worst]:g}) while the imagined reward rose"
            log.warning("alarm at rollout %d: %s", step, m["reason"])

    def end(self) -> dict[str, Any]:
        """What became of it, for the job's result; after a stop, the kept weights are put back."""
        m = self.memory
        if not self.sounded:
            return {"alarm": None}
        said = f"At rollout {m['sounded']} {m['reason']}. "
        if not self.stops:
            said += "Training went on, as asked: the true task must judge this policy."
        elif m["kept"]:
            for name, module in self.modules.items():
                module.load_state_dict(m["kept"][name])
            said += f"Training stopped; this is the policy of rollout {m['kept_rollout']}."
        else:
            said += "Training stopped; no check before was good, so do not trust this policy."
        return {"alarm": said, "alarm_rollout": m["sounded"], "kept_rollout": m["kept_rollout"]}

    def _rising(self) -> bool:
        """Do the newest `patience` checks earn more than as many before them?"""
        rewards, n = self.memory["rewards"], self.patience
        newest, before = rewards[-n:], rewards[-2 * n : -n] or rewards[-n:][:1]
        return bool(sum(newest) / len(newest) > sum(before) / len(before))

    def _weights(self) -> dict[str, dict[str, torch.Tensor]]:
        return {
            name: {k: v.detach().clone() for k, v in module.state_dict().items()}
            for name, module in self.modules.items()
        }
