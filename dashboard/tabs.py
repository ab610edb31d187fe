"""Tabs of which only the open one is drawn: a page is there sooner, and asks the API for less."""

from collections.abc import Callable, Mapping

import streamlit as st

from dashboard import access


def tabs(sections: Mapping[str, Callable[[], None]], key: str) -> None:
    """Draw tabs by title; the section of the open one is called.

    They are a part of their page: what is opened or changed in one does not draw the rest again.
    """
    access.live(_tabs, None)(sections, key)


def _tabs(sections: Mapping[str, Callable[[], None]], key: str) -> None:
    places = st.tabs(list(sections), key=key, on_change="rerun")
    for place, draw in zip(places, sections.values(), strict=True):
        if place.open:
            with place:
                draw()
