"""The form of a job is made of its schema: nothing is lost, and what is typed reaches the spec."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.jobs import presets
from core.jobs.presets import Preset
from core.jobs.spec import SPECS, IngestSpec, Kind, spec_adapter
from dashboard import forms, words

IDS = {
    "upload": "up_0123456789abcdef",
    "dataset": "ds_0123456789abcdef",
    "global_model": "gm_0123456789abcdef",
    "local_model": "lm_0123456789abcdef",
    "policy": "pi_0123456789abcdef",
    "source": "ds_0123456789abcdef",
    "name": "logs",
}


def form(kind: Kind, preset: Preset | None = None) -> list[forms.Field]:
    overrides = presets.overrides(preset, kind) if preset else {}
    return forms.fields(SPECS[kind].model_json_schema(), overrides)


def untouched(fields: list[forms.Field]) -> dict[str, Any]:
    """What the widgets hold before anybody types; needed inputs are chosen."""
    return {f.name: IDS[f.name] if f.required else forms.shown(f) for f in fields}


@pytest.mark.parametrize("kind", list(Kind))
def test_form_has_every_field_of_the_spec_with_its_help(kind: Kind) -> None:
    fields = {f.name: f for f in form(kind)}
    assert set(fields) == set(SPECS[kind].model_fields) - {"kind"}
    for name, info in SPECS[kind].model_fields.items():
        if name != "kind":
            assert fields[name].help == (info.description or "")


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("preset", [None, *Preset])
def test_untouched_form_asks_for_the_presets_spec(kind: Kind, preset: Preset | None) -> None:
    fields = form(kind, preset)
    made, wrong = forms.spec(fields, untouched(fields))
    assert not wrong
    overrides = dict(presets.overrides(preset, kind)) if preset else {}
    needed = {f.name: IDS[f.name] for f in fields if f.required}
    asked = spec_adapter.validate_python({"kind": kind, **overrides, **made})
    assert asked == spec_adapter.validate_python({"kind": kind, **overrides, **needed})


@given(st.data())
def test_every_typed_number_reaches_the_spec(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([k for k in Kind if k not in words.DATA_KINDS]))
    fields = form(kind)
    numbers = [f for f in fields if f.type == "integer"]
    field = data.draw(st.sampled_from(numbers))
    least, most = int(field.minimum or 0), int(field.maximum or 4096)
    typed = data.draw(st.integers(least, min(most, 4096)))
    made, wrong = forms.spec(fields, {**untouched(fields), field.name: typed})
    assert not wrong
    asked = spec_adapter.validate_python({"kind": kind, **made})
    assert getattr(asked, field.name) == typed


@given(st.lists(st.integers(1, 512), min_size=1, max_size=5))
def test_list_of_numbers_survives_typing(numbers: list[int]) -> None:
    channels = next(f for f in form(Kind.GLOBAL_MODEL) if f.name == "channels")
    for text in (", ".join(map(str, numbers)), str(numbers), " ".join(map(str, numbers))):
        assert forms.value(channels, text) == numbers


def test_goal_frames_are_typed_as_text() -> None:
    fields = form(Kind.GLOBAL_MODEL)
    made, wrong = forms.spec(
        fields, {**untouched(fields), "reward": "ranking", "goals": "3:-1, 12 ,0:7"}
    )
    assert not wrong
    asked = spec_adapter.validate_python({"kind": Kind.GLOBAL_MODEL, **made})
    assert [str(g) for g in asked.goals] == ["3:-1", "12:-1", "0:7"]


def test_unreadable_text_is_told_with_an_example() -> None:
    fields = form(Kind.GLOBAL_MODEL)
    typed = {**untouched(fields), "channels": "64, wide", "dataset": None}
    made, wrong = forms.spec(fields, typed)
    assert "e.g. 64, 128" in wrong["channels"]
    assert wrong["dataset"] == "This field is needed"
    assert "channels" not in made


def test_mapping_is_read_from_json() -> None:
    mapping = next(f for f in form(Kind.INGEST) if f.name == "mapping")
    assert forms.value(mapping, "{'action': 'cmd_vel'}") == {"action": "cmd_vel"}
    with pytest.raises(ValueError, match="cmd_vel"):
        forms.value(mapping, "action=cmd_vel")


def test_bounds_and_options_come_from_the_schema() -> None:
    fields = {f.name: f for f in form(Kind.INGEST)}
    size = fields["image_size"]
    assert (size.minimum, size.maximum, size.multiple_of, size.nullable) == (16, 512, 8, True)
    assert fields["format"].options == get_args(IngestSpec.model_fields["format"].annotation)
    assert fields["seed"].maximum == 2**31 - 1


def test_step_is_one_in_the_first_digit() -> None:
    assert forms.step(5e-4) == pytest.approx(1e-4)
    assert forms.step(10.0) == 10.0
    assert forms.step(None) == 0.01
