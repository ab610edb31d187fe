"""Is a global model good enough to train in? Figures of an evaluation → checks and one verdict."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from dashboard.verdicts import NEEDED_COSINE, NEEDED_DB, NEEDED_STEPS, Tone

GateTone = Literal[Tone, "unknown"]
NEEDED_ACTION_DB = 1.0
"""What the right actions must bring over wrong ones, after about ten imagined steps."""
GOOD_REWARD, FAIR_REWARD = 0.25, 0.5
"""Distance of imagined from logged rewards, in the deviations of the latter."""
GOOD_RANK, FAIR_RANK = 0.8, 0.5
"""Rank correlation with what counts, for rewards in units of their own."""
GOOD_GAP, FAIR_GAP = 0.15, 0.4
"""Difference of imagined and true return, as a share of the larger."""


class Check(NamedTuple):
    """One question to the model, its answer and why the question matters."""

    title: str
    tone: GateTone
    said: str
    why: str


class Gate(NamedTuple):
    """The verdict in words with its reasons, worst first."""

    tone: GateTone
    answer: str
    reasons: list[str]
    checks: list[Check]


def gate(result: Mapping[str, Any] | None) -> Gate:
    """Judge an evaluation; None if there is none."""
    found = result or {}
    checks = [c(found) for c in (_foresight, _actions, _rewards, _gradient, _returns)]
    by_tone = {t: [c for c in checks if c.tone == t] for t in ("poor", "unknown", "fair", "good")}
    reasons = [f"{c.title}: {c.said}" for t in ("poor", "fair", "unknown") for c in by_tone[t]]
    needed = checks[:3]
    if by_tone["poor"]:
        return Gate("poor", "No. A policy would learn from its mistakes.", reasons, checks)
    if any(c.tone == "unknown" for c in needed):
        answer = "Nobody can tell yet." if result is None else "Not enough was measured to tell."
        return Gate("unknown", answer, reasons, checks)
    if by_tone["fair"]:
        answer = "With care: keep horizons short and look at the rollouts."
        return Gate("fair", answer, reasons, checks)
    answer = "Yes, as far as it was measured." if by_tone["unknown"] else "Yes."
    return Gate("good", answer, reasons, checks)


def gains(result: Mapping[str, Any]) -> list[float]:
    """By imagined step, dB that imagination is closer to what came than a still picture."""
    pairs = zip(_numbers(result, "psnr"), _numbers(result, "static_psnr"), strict=False)
    return [ours - still for ours, still in pairs]


def trusted_steps(result: Mapping[str, Any]) -> int:
    """For how many imagined steps in a row it is clearly better than a still picture."""
    by_step = gains(result)
    return next((n for n, gain in enumerate(by_step) if gain < NEEDED_DB), len(by_step))


def _foresight(result: Mapping[str, Any]) -> Check:
    title, why = (
        "Foresight",
        "Imagined and held-out episodes from the same frames with the same actions. Errors grow "
        "step by step; a policy should not be trained on more steps than can be trusted.",
    )
    by_step = gains(result)
    if not by_step:
        return Check(title, "unknown", "open-loop error was not measured.", why)
    steps, least = trusted_steps(result), min(by_step[:NEEDED_STEPS])
    told = f"{by_step[0]:+.1f} dB after 1 and {by_step[-1]:+.1f} dB after {len(by_step)} steps"
    said = f"{told}, compared with a still picture; clearly better for {steps} steps."
    if least >= NEEDED_DB:
        return Check(title, "good", said, why)
    return Check(title, "fair" if least > 0 else "poor", said, why)


def _actions(result: Mapping[str, Any]) -> Check:
    title, why = (
        "Action sensitivity",
        "The same start imagined once with the logged actions, once with those of another episode. "
        "A model that does not listen to actions teaches a policy nothing.",
    )
    gain, bounds = _number(result, "action_gain"), _bounds(result, "action_gain")
    if gain is None:
        return Check(title, "unknown", "it was not measured.", why)
    steps = result.get("action_gain_steps", "some")
    said = f"the right actions bring {gain:+.1f} dB after {steps} steps{_interval(bounds)}."
    if bounds is not None and bounds[0] <= 0:
        return Check(title, "poor", f"{said[:-1]}: they may not matter to the model.", why)
    return Check(title, "good" if gain >= NEEDED_ACTION_DB else "fair", said, why)


def _rewards(result: Mapping[str, Any]) -> Check:
    title, why = (
        "Reward calibration",
        "Rewards of imagined steps beside the logged ones of the same steps. A policy seeks out "
        "whatever the reward model overrates.",
    )
    error = _number(result, "reward_calibration_error")
    if error is not None:
        tone: Tone = "good" if error <= GOOD_REWARD else "fair" if error <= FAIR_REWARD else "poor"
        said = f"imagined rewards are off by {error:.2f} deviations of the logged ones."
        return Check(title, tone, said, why)
    for name, what in (("progress", "the task's progress"), ("logged", "logged rewards")):
        rank = _number(result, f"reward_vs_{name}")
        if rank is not None:
            bounds = _interval(_bounds(result, f"reward_vs_{name}"))
            tone = "good" if rank >= GOOD_RANK else "fair" if rank >= FAIR_RANK else "poor"
            return Check(title, tone, f"rank correlation {rank:.2f} with {what}{bounds}.", why)
    return Check(title, "unknown", "there are no logged rewards to compare with.", why)


def _gradient(result: Mapping[str, Any]) -> Check:
    title, why = (
        "Gradient cosine",
        "The policy improves along the local model's gradient; this is its angle to the true "
        "simulator's, 1 being the same direction.",
    )
    cosine = _number(result, "gradient_cosine")
    if cosine is None:
        return Check(
            title, "unknown", "not measured: it takes a local model and a true simulator.", why
        )
    said = f"{cosine:.2f} on average{_interval(_bounds(result, 'gradient_cosine'))}."
    tone: Tone = "good" if cosine >= NEEDED_COSINE else "fair" if cosine > 0 else "poor"
    return Check(title, tone, said, why)


def _returns(result: Mapping[str, Any]) -> Check:
    title, why = (
        "Imagined against true return",
        "The same policy from the same starts in imagination and in the true simulator. Far more "
        "in imagination means that the policy has learned to fool the model.",
    )
    names = ("matched_imagined_return", "matched_true_return", "matched_gap")
    imagined, true, gap = (_number(result, n) for n in names)
    if imagined is None or true is None or gap is None:
        return Check(title, "unknown", "not measured: it takes a policy and a true simulator.", why)
    bounds = _bounds(result, "matched_gap")
    steps = result.get("matched_steps", "some")
    said = f"{imagined:.3g} imagined, {true:.3g} true, over {steps} steps."
    share = abs(gap) / max(abs(imagined), abs(true), 1e-9)
    if share <= GOOD_GAP or (bounds is not None and bounds[0] <= 0 <= bounds[1]):
        return Check(title, "good", said, why)
    way = "promises more than comes true" if gap > 0 else "promises less than comes true"
    tone: Tone = "fair" if share <= FAIR_GAP else "poor"
    return Check(title, tone, f"{said[:-1]}: imagination {way}.", why)


def _number(result: Mapping[str, Any], name: str) -> float | None:
    value = result.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _numbers(result: Mapping[str, Any], name: str) -> Sequence[float]:
    values = result.get(name)
    return [v for v in values if v is not None] if isinstance(values, list) else []


def _bounds(result: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    value = result.get(f"{name}_interval")
    if not isinstance(value, list | tuple) or len(value) != 2 or None in value:
        return None
    return value[0], value[1]


def _interval(bounds: tuple[float, float] | None) -> str:
    return f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else ""
