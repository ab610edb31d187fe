"""What logs may look like and what the report can say: docs/formats.md, with one code on top."""

import re
from pathlib import Path

import streamlit as st

import dashboard

PAGE = Path(dashboard.__file__).parents[1] / "docs" / "formats.md"


def draw() -> None:
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    if not text:
        st.info("This installation came without docs/formats.md.", icon=":material/menu_book:")
        return
    code = st.query_params.get("code", "")
    explained = re.search(rf'^\| <a id="{re.escape(code)}"></a>.*\|$', text, re.MULTILINE)
    if code and explained:
        cells = [c.strip() for c in explained.group().strip("|").split(" | ")]
        st.info(f"**{code}** — {cells[1]}. *What to do:* {cells[2]}.", icon=":material/help:")
    # Our own text; the anchors in it are HTML.
    st.markdown(text, unsafe_allow_html=True)


draw()
