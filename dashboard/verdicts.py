"""Figures → what they mean, in words."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from core.jobs.replies import RolloutItem

Tone = Literal["good", "fair", "poor"]
NEEDED_DB = 5.0
"""What imagination must be better than a still picture to be worth training in."""
NEEDED_STEPS = 10
"""For how many imagined steps it must be."""
NEEDED_COSINE = 0.5


class Verdict(NamedTuple):
    """One sentence and whether it is good news."""

    tone: Tone
    text: str


def verdicts(result: Mapping[str, Any]) -> list[Verdict]:
    """What the figures of an evaluation say, as far as they were measured."""
    found = (_imagination(result), _gradient(result), _policy(result))
    return [verdict for verdict in found if verdict is not None]


def rollout_gain(item: RolloutItem) -> str | None:
    """How much better than a still picture one rollout is; None without figures."""
    pairs = [
        (ours, still)
        for ours, still in zip(item.psnr or (), item.static_psnr or (), strict=False)
        if ours is not None and still is not None
    ]
    if not pairs or item.kind == "policy":
        return None
    gain = sum(ours - still for ours, still in pairs) / len(pairs)
    if gain <= 0:
        return f"On average {-gain:.1f} dB **worse** than a still picture: imagination has gone astray here."
    return f"On average **{gain:.1f} dB closer** to the real frames than a still picture."


def _imagination(result: Mapping[str, Any]) -> Verdict | None:
    steps = sorted(int(k[5:]) for k in result if k.startswith("psnr_") and k[5:].isdigit())
    both = {n: (_number(result, f"psnr_{n}"), _number(result, f"static_psnr_{n}")) for n in steps}
    gains = {n: a - b for n, (a, b) in both.items() if a is not None and b is not None}
    if not any(n <= NEEDED_STEPS for n in gains):
        return None
    told = ", ".join(f"{gain:+.1f} dB after {n}" for n, gain in gains.items())
    said = f"{told} imagined steps, compared with a still picture."
    if min(gain for n, gain in gains.items() if n <= NEEDED_STEPS) >= NEEDED_DB:
        return Verdict("good", f"The global model foresees held-out episodes well: {said}")
    if min(gains.values()) > 0:
        return Verdict("fair", f"The global model foresees something, but not much: {said}")
    return Verdict(
        "poor", f"The global model is no better than a still picture at some step: {said}"
    )


def _gradient(result: Mapping[str, Any]) -> Verdict | None:
    cosine, positive = _number(result, "gradient_cosine"), _number(result, "gradient_positive")
    if cosine is None:
        return None
    said = f"cosine {cosine:.2f} on average"
    said += (
        f", in the right direction on {positive:.0%} of states." if positive is not None else "."
    )
    if cosine >= NEEDED_COSINE:
        return Verdict(
            "good", f"Gradients of the local model agree with the true simulator: {said}"
        )
    if cosine > 0:
        return Verdict("fair", f"Gradients of the local model point roughly the right way: {said}")
    return Verdict("poor", f"Gradients of the local model point the wrong way: {said}")


def _policy(result: Mapping[str, Any]) -> Verdict | None:
    ours, random = _number(result, "real_success"), _number(result, "random_success")
    if ours is None:
        return None
    said = f"It succeeds in {ours:.0%} of {result.get('episodes', '')} episodes".replace("  ", " ")
    said += f", random actions in {random:.0%}." if random is not None else "."
    said += _drawn(result, "success", "succeeds")
    passed = _number(result, "real_passed")
    if passed is not None:
        said += f" It goes nearly through the goal in {passed:.0%}."
        said += _drawn(result, "passed", "goes nearly through the goal")
    mine, theirs = (_interval(result, f"{name}_return_interval") for name in ("real", "random"))
    if mine is None or theirs is None:
        return Verdict("fair", f"The policy was tried in the true simulator. {said}")
    if mine[0] > theirs[1]:
        tone: Tone = "good" if ours >= 0.3 else "fair"
        return Verdict(
            tone, f"The policy earns clearly more than random actions in the true simulator. {said}"
        )
    if mine[1] < theirs[0]:
        return Verdict(
            "poor", f"The policy earns less than random actions in the true simulator. {said}"
        )
    return Verdict(
        "poor", f"The policy can't be told from random actions in the true simulator. {said}"
    )


def _drawn(result: Mapping[str, Any], what: str, told: str) -> str:
    """What the policy does with drawn actions, if that is better."""
    likely, drawn = (_number(result, f"{name}_{what}") for name in ("real", "sampled"))
    if likely is None or drawn is None or drawn <= likely:
        return ""
    return f" With drawn actions it {told} in {drawn:.0%}."


def _number(result: Mapping[str, Any], name: str) -> float | None:
    value = result.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _interval(result: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    value = result.get(name)
    if not isinstance(value, list | tuple) or len(value) != 2 or None in value:
        return None
    return value[0], value[1]
