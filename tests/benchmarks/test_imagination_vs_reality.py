"""Policies of mixed quality are made, measured in both worlds and compared; a second start reads."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import imagination_vs_reality
from benchmarks.imagination_vs_reality import beginnings
from benchmarks.policy_mix import DISTURBED, TRAINED, UNTRAINED, disturbed, kept_steps
from core.data.dataset import Dataset
from core.evaluation.statistics import spearman
from core.global_model.model import to_float
from core.policy.actor_critic import Actor, ActorConfig
from tests.benchmarks.conftest import IDS


def test_every_policy_is_measured_in_both_worlds_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = home / "results"
    sizes = "--steps 3 --environments 2 --horizon 3 --episodes 2"
    command = f"imagination_vs_reality --home {home} --results {results} {IDS} {sizes}"
    monkeypatch.setattr(sys, "argv", command.split())
    imagination_vs_reality.main()
    path = results / "imagination_vs_reality_push_disc.json"
    table = json.loads(path.read_text())
    [line] = table["summary"]
    assert {r["kind"] for r in table["rows"]} == {
        "untrained",
        "with noise on its weights",
        *TRAINED,
    }
    assert line["policies"] == len({r["policy"] for r in table["rows"]})
    imagined, true = (
        np.array([r[f"{w}_return"] for r in table["rows"]]) for w in ("imagined", "true")
    )
    assert line["spearman"]["mean"] == pytest.approx(spearman(imagined, true))
    assert path.with_suffix(".png").exists()

    capsys.readouterr()
    imagination_vs_reality.main()
    assert "imagination_vs_reality: " not in capsys.readouterr().out.partition("┏")[0].replace(
        "imagination_vs_reality_push_disc: ", ""
    ), "nothing is measured again"
    assert json.loads(path.read_text())["rows"] == table["rows"]


def test_a_full_training_gives_at_least_20_policies() -> None:
    trained = sum(len(set(kept_steps(kind, 240).values())) for kind in TRAINED)
    assert UNTRAINED + trained + sum(map(len, DISTURBED.values())) >= 20


def test_beginnings_are_the_first_frames_of_held_out_episodes(home: Path) -> None:
    dataset = Dataset.open(home / "datasets" / "ds_00000000" / "v1")
    frames, actions = beginnings(dataset, 2, 5)
    first = dataset.validation[0].start
    assert frames.shape == (5, 2, 3, 16, 16)
    assert torch.equal(frames[0], to_float(torch.tensor(dataset.frames[first : first + 2])))
    assert torch.equal(actions[0], torch.tensor(dataset.actions[first : first + 2]))


def test_noise_on_weights_has_the_level_asked_for() -> None:
    torch.manual_seed(0)
    actor = Actor(ActorConfig(40, 2))
    weight = actor.net[0].weight
    for level in (0.0, 0.5):
        other = disturbed(actor, level, seed=1).net[0].weight
        assert ((other - weight).std() / weight.std()).item() == pytest.approx(level, abs=0.02)
