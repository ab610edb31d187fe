"""Drive a world model by hand: the API's own page, in a frame."""

from urllib.parse import urlencode

import streamlit as st

from dashboard import access

HEIGHT = 860
PASSED = ("model", "policy", "seed")
"""What this page's address may say, for the one in the frame."""


def draw() -> None:
    service = access.client()
    if not service.models(kind="global_model", limit=1):
        st.info(
            "There is no world to play in yet. Train a global model, and drive it with keyboard, "
            "mouse, touch or gamepad.",
            icon=":material/sports_esports:",
        )
        st.page_link("app_pages/train.py", label="Train", icon=":material/rocket_launch:")
        return
    given = {name: st.query_params[name] for name in PASSED if name in st.query_params}
    # Behind the #, which browsers send to no server, so that the frame need not ask for it.
    fragment = urlencode({"token": access.token()})
    address = f"{service.public_url}/play?{urlencode(given)}#{fragment}"
    st.iframe(address, height=HEIGHT)
    st.link_button("In a tab of its own", address, icon=":material/open_in_new:")


st.title("Play", anchor=False)
draw()
