"""What jobs will take, scaled from what jobs took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.jobs import presets
from core.jobs.estimates import (
    STARTUP_SECONDS,
    Past,
    denoiser_weights,
    estimate,
    queue_starts,
    size_of,
)
from core.jobs.presets import Preset
from core.jobs.spec import Kind


def spec(preset: Preset, kind: Kind) -> dict[str, object]:
    line = presets.pipeline(preset, presets.new_ids(), name="x", dataset="ds_00000000")
    return line[kind].model_dump()


@pytest.mark.parametrize(("preset", "millions"), [(Preset.SINGLE_GPU, 4.4), (Preset.PAPER, 29.5)])
def test_counted_weights_are_those_that_the_presets_state(preset: Preset, millions: float) -> None:
    found = denoiser_weights(spec(preset, Kind.GLOBAL_MODEL), presets.image_size(preset))
    assert found / 1e6 == pytest.approx(millions, rel=0.1)


@pytest.mark.parametrize("kind", [Kind.GLOBAL_MODEL, Kind.LOCAL_MODEL, Kind.POLICY])
def test_presets_cost_more_in_their_order(kind: Kind) -> None:
    def work(preset: Preset) -> float:
        world = spec(preset, Kind.GLOBAL_MODEL)
        size = size_of(kind, spec(preset, kind), presets.image_size(preset), world)
        assert size is not None
        return size.work

    works = [work(preset) for preset in Preset]
    assert works == sorted(works)


@given(st.floats(10, 1e5), st.integers(1, 20))
def test_the_same_job_again_takes_what_it_took(seconds: float, times: int) -> None:
    fields = spec(Preset.DEMO, Kind.GLOBAL_MODEL)
    past = [Past(fields, 32, seconds, 2e9, 5e7)] * times
    found = estimate(Kind.GLOBAL_MODEL, fields, 32, past)
    assert found is not None
    assert found.seconds == pytest.approx(seconds)
    assert found.seconds_low < found.seconds < found.seconds_high
    assert found.memory_bytes == pytest.approx(2e9)
    assert found.disk_bytes == pytest.approx(5e7)


def test_twice_the_steps_take_twice_the_time_after_the_start() -> None:
    fields = spec(Preset.DEMO, Kind.LOCAL_MODEL)
    past = [Past(fields, 32, 108.0)]
    twice = estimate(Kind.LOCAL_MODEL, {**fields, "steps": 2 * 2200}, 32, past)
    assert twice is not None
    assert twice.seconds == pytest.approx(STARTUP_SECONDS + 2 * (108 - STARTUP_SECONDS))
    assert twice.memory_bytes is None, "nobody measured it"


def test_only_the_part_that_trains_grows_with_the_steps() -> None:
    fields = spec(Preset.DEMO, Kind.LOCAL_MODEL)
    past = [Past(fields, 32, 100.0, training_seconds=20.0)]
    found = estimate(Kind.LOCAL_MODEL, {**fields, "steps": 22_000}, 32, past)
    assert found is not None
    assert found.seconds == pytest.approx(80 + 10 * 20)
    assert found.scale == pytest.approx(10)
    assert found.seconds_high >= 2 * found.seconds, "it is far from what has run"


def test_nothing_is_guessed_without_a_past_run() -> None:
    assert estimate(Kind.LOCAL_MODEL, spec(Preset.DEMO, Kind.LOCAL_MODEL), 32, []) is None


def test_imagining_with_a_larger_model_takes_longer() -> None:
    fields = spec(Preset.DEMO, Kind.POLICY)
    small, large = (spec(p, Kind.GLOBAL_MODEL) for p in (Preset.DEMO, Preset.PAPER))
    past = [Past(fields, 32, 108.0, world=small)]
    found = estimate(Kind.POLICY, fields, 32, past, large)
    assert found is not None
    assert found.seconds > 1000
    assert estimate(Kind.POLICY, fields, 32, past) is None, "nobody knows with what"


def test_queued_jobs_start_one_after_the_other_and_after_what_they_wait_for() -> None:
    jobs = [
        ("running", "gpu", 60.0, []),
        ("next", "gpu", 100.0, []),
        ("ingest", "ingest", 500.0, []),
        ("waits", "gpu", 10.0, ["ingest"]),
        ("last", "gpu", 10.0, []),
    ]
    found = queue_starts(jobs)
    assert [found[j[0]].seconds for j in jobs] == [0, 60, 0, 500, 510]
    assert [found[j[0]].ahead for j in jobs] == [0, 1, 0, 2, 3]


def test_behind_a_job_of_unknown_length_no_time_is_told() -> None:
    found = queue_starts([("a", "gpu", None, []), ("b", "gpu", 5.0, [])])
    assert (found["a"].seconds, found["b"].seconds, found["b"].ahead) == (0, None, 1)
