"""What may be asked: a JSON schema for each kind of job, and the presets."""

from typing import Any

from fastapi import APIRouter

from core.jobs import presets
from core.jobs.presets import Preset
from core.jobs.replies import Reply
from core.jobs.spec import SPECS, Kind

router = APIRouter(prefix="/specs", tags=["jobs"])


class Specs(Reply):
    """`kinds`: JSON schema by kind. `presets`: by name and kind, fields unlike the defaults.

    `costs`: what a preset is and costs, for people.
    """

    kinds: dict[Kind, dict[str, Any]]
    presets: dict[Preset, dict[Kind, dict[str, Any]]]
    costs: dict[Preset, str]


@router.get("")
def get_specs() -> Specs:
    """Enough to draw a form for every kind of job."""
    return Specs(
        kinds={kind: spec.model_json_schema() for kind, spec in SPECS.items()},
        presets={p: {kind: dict(presets.overrides(p, kind)) for kind in Kind} for p in Preset},
        costs=dict(presets.COSTS),
    )
