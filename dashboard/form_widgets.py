"""The widgets of a form that was made from a schema."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import forms, words
from dashboard.forms import Field

Choices = Mapping[str, Mapping[str, str]]
"""Field to the artifacts that it may name: id to label."""
COLUMNS = 3


def draw(
    found: Sequence[Field], key: str, choices: Choices, wrong: Mapping[str, str]
) -> dict[str, Any]:
    """Draw all fields in columns; returns what is typed, by field. `wrong` holds messages."""
    typed: dict[str, Any] = {}
    for first in range(0, len(found), COLUMNS):
        row = st.columns(COLUMNS)
        for column, field in zip(row, found[first : first + COLUMNS], strict=False):
            with column:
                typed[field.name] = _widget(field, f"{key}-{field.name}", choices)
                if field.name in wrong:
                    st.markdown(f":red[:material/error: {wrong[field.name]}]")
    return typed


def draw_rest(typed: Mapping[str, Any], wrong: Mapping[str, str]) -> None:
    """Messages that belong to no field of the form."""
    for name, text in wrong.items():
        if name not in typed:
            st.error(f"{words.sentence(name)}: {text}" if name else text, icon=":material/error:")


def _widget(field: Field, key: str, choices: Choices) -> Any:
    label, about = field.label, field.help or None
    if field.type == "artifact":
        return _artifact(field, key, choices.get(field.name, {}))
    if field.type == "choice":
        options = [*([None] if field.nullable else []), *field.options]
        at = options.index(field.default) if field.default in options else 0
        return st.selectbox(
            label, options, index=at, key=key, help=about, format_func=lambda o: o or "none"
        )
    if field.type in ("integer", "number"):
        return _number(field, key)
    if field.type == "boolean":
        return st.checkbox(label, bool(field.default), key=key, help=about)
    return st.text_input(label, forms.shown(field) or "", key=key, help=about)


def _artifact(field: Field, key: str, known: Mapping[str, str]) -> Any:
    options = [*([None] if field.nullable else []), *known]
    return st.selectbox(
        field.label,
        options,
        index=options.index(field.default) if field.default in options else 0 if options else None,
        key=key,
        help=field.help or None,
        format_func=lambda i: known.get(i, "none"),
        placeholder=f"No {words.sentence(field.name).lower()} yet",
    )


def _number(field: Field, key: str) -> Any:
    hint = "as in the logs" if field.nullable else None
    about = field.help or None
    if field.type == "integer":
        return st.number_input(
            field.label,
            min_value=_as(int, field.minimum),
            max_value=_as(int, field.maximum),
            value=_as(int, field.default),
            step=field.multiple_of or 1,
            key=key,
            help=about,
            placeholder=hint,
        )
    return st.number_input(
        field.label,
        min_value=_as(float, field.minimum),
        max_value=_as(float, field.maximum),
        value=_as(float, field.default),
        step=forms.step(field.default),
        format="%g",
        key=key,
        help=about,
        placeholder=hint,
    )


def _as(cast: type[int] | type[float], value: float | None) -> Any:
    # Streamlit's overloads know a number and None, but not either of them.
    return None if value is None else cast(value)
