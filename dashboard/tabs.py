"""Tabs of which only the open one is drawn: a page is there sooner, and asks the API for less."""

from collections.abc import Callable, Mapping

import streamlit as st


def tabs(sections: Mapping[str, Callable[[], None]], key: str) -> None:
    """Draw tabs by title; the section of the open one is called."""
    places = st.tabs(list(sections), key=key, on_change="rerun")
    for place, draw in zip(places, sections.values(), strict=True):
        if place.open:
            with place:
                draw()
