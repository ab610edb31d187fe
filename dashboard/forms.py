"""A job's JSON schema → the fields of a form, and what was typed → the job's spec."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dashboard.words import sentence

FieldType = Literal[
    "integer", "number", "boolean", "text", "choice", "artifact", "integers", "texts", "mapping"
]
ARTIFACTS = ("dataset", "global_model", "local_model", "policy", "start_from")
_UNSHOWN = frozenset({"kind"})


@dataclass(frozen=True)
class Field:
    """One field of a spec."""

    name: str
    type: FieldType
    help: str
    default: Any
    required: bool
    nullable: bool
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: int | None = None
    options: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return sentence(self.name)


def fields(schema: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> list[Field]:
    """Fields in the schema's order; `overrides` are a preset's defaults."""
    required = set(schema.get("required", ()))
    preset = overrides or {}
    found = []
    for name, described in schema.get("properties", {}).items():
        if name in _UNSHOWN or "const" in described:
            continue
        default = preset.get(name, described.get("default"))
        found.append(_field(name, described, default, name in required))
    return found


def value(field: Field, typed: Any) -> Any:
    """What was typed as the API takes it. Raises `ValueError` with a message for the user."""
    if typed is None or typed == "":
        if field.required:
            raise ValueError("This field is needed")
        return None if field.nullable else field.default
    if field.type == "integers":
        return _integers(str(typed))
    if field.type == "texts":
        return _texts(str(typed))
    if field.type == "mapping":
        return _mapping(str(typed))
    if field.type == "integer":
        return int(typed)
    return typed


def spec(found: list[Field], typed: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The spec that was typed, and messages by field for what cannot be read.

    Fields left at their default are left out, so that the stored defaults stay the service's.
    """
    made: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for field in found:
        try:
            read = value(field, typed.get(field.name))
        except ValueError as error:
            wrong[field.name] = str(error)
            continue
        if field.required or read != field.default:
            made[field.name] = read
    return made, wrong


def shown(field: Field) -> Any:
    """The default as its widget takes it."""
    if field.type in ("integers", "texts"):
        return ", ".join(_part(n) for n in field.default or ())
    if field.type == "mapping":
        return json.dumps(field.default) if field.default else ""
    return field.default


def step(default: float | None) -> float:
    """A sensible step of a number: one in its first digit."""
    if not default:
        return 0.01
    return float(10.0 ** math.floor(math.log10(abs(default))))


def _field(name: str, described: Mapping[str, Any], default: Any, required: bool) -> Field:
    branches = [b for b in described.get("anyOf", ()) if b.get("type") != "null"]
    plain = {**described, **branches[0]} if branches else described
    nullable = len(branches) < len(described.get("anyOf", ()))
    least, most = plain.get("minimum"), plain.get("maximum")
    if plain.get("type") == "integer" and "exclusiveMaximum" in plain:
        most = plain["exclusiveMaximum"] - 1
    return Field(
        name=name,
        type=_type(name, plain),
        help=str(described.get("description", "")),
        default=default,
        required=required,
        nullable=nullable,
        minimum=least,
        maximum=most,
        multiple_of=plain.get("multipleOf"),
        options=tuple(plain.get("enum", ())),
    )


def _type(name: str, plain: Mapping[str, Any]) -> FieldType:
    if name in ARTIFACTS:
        return "artifact"
    if "enum" in plain:
        return "choice"
    items = plain.get("items", {})
    if "$ref" in items or items.get("type") == "string":
        return "texts"  # things that the service also reads as text, such as episode:frame
    by_json: dict[str, FieldType] = {
        "integer": "integer",
        "number": "number",
        "boolean": "boolean",
        "array": "integers",
        "object": "mapping",
    }
    return by_json.get(str(plain.get("type")), "text")


def _part(value: Any) -> str:
    """One of several values; a goal frame as the service reads it."""
    if isinstance(value, Mapping):
        return f"{value['episode']}:{value['frame']}"
    return str(value)


def _texts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _integers(text: str) -> list[int]:
    parts = [p for p in text.replace(",", " ").replace("[", " ").replace("]", " ").split() if p]
    try:
        return [int(p) for p in parts]
    except ValueError:
        raise ValueError(
            f"Whole numbers with commas between them, e.g. 64, 128, not {text!r}"
        ) from None


def _mapping(text: str) -> dict[str, str]:
    try:
        read = json.loads(text.replace("'", '"'))
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise ValueError('An object of names, e.g. {"action": "cmd_vel"}')
    return {str(k): str(v) for k, v in read.items()}
