"""Who is signed in, the client that speaks for them, and what they see when it is refused."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import streamlit as st

from foglab.client import ServiceClient, ServiceError

_TOKEN, _NOTICE, _SIGNED_OUT = "foglab_token", "foglab_notice", "foglab_signed_out"
_KEEPER = st.components.v2.component(
    "foglab_token_keeper",
    # Kept per tab and per origin: a reload of the page need not ask again, another site or port
    # never sees it.
    js="""
    const NAME = "foglab-token";
    export default function ({ data, setStateValue }) {
      if (data.token) sessionStorage.setItem(NAME, data.token);
      else if (data.forget) sessionStorage.removeItem(NAME);
      else if (sessionStorage.getItem(NAME)) setStateValue("kept", sessionStorage.getItem(NAME));
    }
    """,
)


_LATE = """
<style>
.st-key-sign_in_page { animation: appear 0.2s 0.6s backwards; }
@keyframes appear { from { opacity: 0; } }
</style>
"""
"""A reload draws the sign-in page until the browser has handed over its token: not to be seen."""


def service_url() -> str:
    """Address of the API as this process reaches it."""
    return os.environ.get("FOGLAB_URL", "http://127.0.0.1:8000")


def token() -> str:
    """The signed-in user's token, for what the browser itself asks of the API."""
    return str(st.session_state[_TOKEN])


def client() -> ServiceClient:
    """The signed-in user's client; one per browser session, closed with it."""
    return _client(service_url(), token())


@st.cache_resource(scope="session", on_release=ServiceClient.close, show_spinner=False)
def _client(url: str, token: str) -> ServiceClient:
    public = os.environ.get("FOGLAB_PUBLIC_URL") or None
    return ServiceClient(url, token, timeout=15, patience=2, public_url=public)


def signed_in() -> bool:
    """Whether there is a token that the service has accepted."""
    return _TOKEN in st.session_state


def require_sign_in() -> None:
    """Return for a signed-in user; draw the sign-in page and stop for anyone else.

    A token in the page's address (`?token=`) is used and taken out of the address at once.
    """
    given = st.query_params.pop("token", None)
    if given and _sign_in(given):
        st.rerun()
    if not signed_in():
        _sign_in_page()
        st.stop()
    _KEEPER(data={"token": token()}, key="token_keeper", height=1)


def sign_out(notice: str = "") -> None:
    """Forget the token, here and in the browser's tab."""
    st.session_state.pop(_TOKEN, None)
    st.session_state[_NOTICE], st.session_state[_SIGNED_OUT] = notice, True
    _client.clear()


@contextmanager
def problems_shown() -> Iterator[None]:
    """Show what the service refused in its own words; a token it rejects signs the user out."""
    try:
        yield
    except ServiceError as error:
        if error.status == 401:
            sign_out("The service no longer accepts this token.")
            st.rerun()
        st.error(str(error), icon=":material/error:")


def live(draw: Callable[..., None], every: float | None) -> Callable[..., None]:
    """`draw` as a part of the page that is redrawn every so many seconds; None: drawn once."""

    def guarded(*args: Any) -> None:
        with problems_shown():
            draw(*args)

    guarded.__name__ = guarded.__qualname__ = draw.__name__
    return st.fragment(guarded, run_every=every)


def _sign_in_page() -> None:
    st.html(_LATE)
    forget = bool(st.session_state.get(_SIGNED_OUT))
    kept = _KEEPER(
        data={"forget": forget}, key="token_keeper", on_kept_change=lambda: None, height=1
    )
    if not forget and kept.get("kept") and _sign_in(kept["kept"]):
        st.rerun()
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(key="sign_in_page"):
        st.title("foglab", anchor=False)
        st.write("Train robot policies inside worlds learned from the robot's own logs.")
        if st.session_state.get(_NOTICE):
            st.warning(st.session_state[_NOTICE], icon=":material/warning:")
        with st.form("sign_in", enter_to_submit=True):
            typed = st.text_input("Token", type="password", placeholder="fog_…")
            if st.form_submit_button("Sign in", type="primary") and _sign_in(typed.strip()):
                st.rerun()
        st.caption(
            "`foglab up` prints a token when it starts for the first time; "
            "`foglab token create` makes another."
        )
        st.caption(f"Service: {service_url()}")


def _sign_in(given: str) -> bool:
    """Keep the token if the service accepts it; else say why not."""
    if not given:
        st.error("Enter a token.")
        return False
    try:
        _client(service_url(), given).jobs(limit=1)
    except ServiceError as error:
        refused = error.status in {401, 403}
        st.error("The service does not accept this token." if refused else str(error))
        st.session_state[_SIGNED_OUT] = refused  # a kept token that is refused is forgotten
        _client.clear()
        return False
    st.session_state[_TOKEN] = given
    for name in (_NOTICE, _SIGNED_OUT):
        st.session_state.pop(name, None)
    return True


def field_messages(error: ServiceError) -> Mapping[str, str]:
    """Messages of a refused spec by field, without the `spec.` in front."""
    found = {str(e.get("field", "")): str(e.get("message", "")) for e in error.errors}
    return {name.removeprefix("spec.").split(".")[0]: text for name, text in found.items()}
