"""The dashboard: `streamlit run dashboard/streamlit_app.py`.

It stores nothing and holds no secret: every page asks the API with its user's token.
FOGLAB_URL is where this process finds the API, FOGLAB_PUBLIC_URL where the browser does.
"""

from pathlib import Path

import streamlit as st

from dashboard.access import problems_shown, require_sign_in, signed_in
from dashboard.words import HIDDEN, OPEN, PAGES

ICON = Path(__file__).with_name("icon.png")
# Less air above the title than Streamlit leaves, and links that look like links of a table.
STYLE = """<style>
.stMainBlockContainer { padding-top: 4rem; padding-bottom: 3rem; }
.stMain [data-testid="stPageLink-NavLink"] { padding-left: 0; background: none; }
.stMain [data-testid="stPageLink-NavLink"]:hover p { text-decoration: underline; }
/* Small print and chosen buttons with enough contrast to be read: 4.5 to 1, in both themes. */
[data-testid="stCaptionContainer"] { color: inherit; opacity: 0.9; }
.stMain a[href^="http"] { text-decoration: underline; }
.stMain [data-testid^="stBaseButton-primary"] {
  background-color: #1a5fcc; border-color: #1a5fcc; color: #fff;
}
</style>"""

# The icon before the pages: browsers would fetch that of the first page from elsewhere.
st.set_page_config(page_icon=ICON, layout="wide")
pages = [
    st.Page(
        f"app_pages/{name}.py",
        title=title,
        icon=f":material/{icon}:",
        default=name == "home",
        visibility="hidden" if name in HIDDEN else "visible",
    )
    for name, (title, icon) in (PAGES | HIDDEN).items()
]
st.html(STYLE)
page = st.navigation(pages, position="top" if signed_in() else "hidden")
st.set_page_config(page_title=f"{page.title} · foglab")
if signed_in() or page.url_path not in OPEN:
    require_sign_in()
with problems_shown():
    page.run()
