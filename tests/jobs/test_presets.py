"""Presets: every one a valid line with its price, each dearer than the one before."""

import pytest

from core.jobs import presets
from core.jobs.presets import COSTS, Preset
from core.jobs.spec import GlobalModelSpec, IngestSpec, Kind, LocalModelSpec, PolicySpec


def line(preset: Preset) -> dict[Kind, object]:
    ids = presets.new_ids()
    return dict(presets.pipeline(preset, ids, name="logs", upload="up_00000000", task="push_t"))


@pytest.mark.parametrize("preset", list(Preset))
def test_a_line_of_every_preset_is_valid_and_takes_its_overrides(preset: Preset) -> None:
    specs = line(preset)
    assert list(specs) == [k for k in Kind if k in specs]
    for kind, spec in specs.items():
        for field, value in presets.overrides(preset, kind).items():
            assert getattr(spec, field) == value


@pytest.mark.parametrize("preset", list(Preset))
def test_frames_are_ingested_at_the_size_the_preset_states(preset: Preset) -> None:
    specs, size = line(preset), presets.image_size(preset)
    ingest, model = specs[Kind.INGEST], specs[Kind.GLOBAL_MODEL]
    assert isinstance(ingest, IngestSpec)
    assert isinstance(model, GlobalModelSpec)
    assert ingest.image_size == size
    assert size % (model.patch * 2 ** (len(model.channels) - 1)) == 0
    if preset in (Preset.SINGLE_GPU, Preset.PAPER):
        assert f"{size} pixels" in COSTS[preset]


def test_every_preset_has_one_line_of_cost() -> None:
    assert set(COSTS) == set(Preset)
    assert all("\n" not in cost and len(cost) < 120 for cost in COSTS.values())
    assert all(f"{preset}: {cost}" in presets.described() for preset, cost in COSTS.items())


def frames(preset: Preset) -> int:
    policy = line(preset)[Kind.POLICY]
    assert isinstance(policy, PolicySpec)
    return policy.steps * policy.environments * policy.horizon


def test_imagined_frames_are_those_stated() -> None:
    assert f"{frames(Preset.SINGLE_GPU) / 1e6:.0f} M imagined frames" in COSTS[Preset.SINGLE_GPU]
    assert f"{frames(Preset.PAPER) / 1e6:.0f} M imagined frames" in COSTS[Preset.PAPER]


def test_presets_cost_more_from_one_to_the_next() -> None:
    def work(preset: Preset) -> list[int]:
        specs = line(preset)
        world, local = specs[Kind.GLOBAL_MODEL], specs[Kind.LOCAL_MODEL]
        assert isinstance(world, GlobalModelSpec)
        assert isinstance(local, LocalModelSpec)
        return [world.steps, local.steps, frames(preset)]

    for cheaper, dearer in zip(list(Preset), list(Preset)[1:], strict=False):
        assert all(a < b for a, b in zip(work(cheaper), work(dearer), strict=True))
