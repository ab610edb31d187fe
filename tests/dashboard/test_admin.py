"""The page for whoever runs a project, on a real API."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from foglab.client import ServiceClient
from tests.dashboard.conftest import Service, opened, texts
from tests.dashboard.makers import Lab


@pytest.fixture
def admin(visitor: AppTest, service: Service, lab: Lab) -> AppTest:
    visitor.query_params["token"] = service.store.create_token("boss", scopes=["admin"])
    return visitor.run()


def tab(app: AppTest, name: str) -> AppTest:
    opened(app, "admin")
    app.session_state["admin_tabs"] = name
    app.run()
    assert not app.exception
    return app


def test_a_token_without_the_scope_is_told_what_it_lacks(
    visitor: AppTest, service: Service
) -> None:
    visitor.query_params["token"] = service.store.create_token("reader", scopes=["read"])
    assert "scope *admin*" in opened(visitor.run(), "admin").info[0].value


def test_missing_workers_are_told_with_a_way_out(admin: AppTest) -> None:
    assert "No worker is there" in opened(admin, "admin").warning[0].value


def test_storage_is_told_by_kind(admin: AppTest, lab: Lab) -> None:
    tab(admin, "Storage")
    assert {"Stored", "Free on the disk"} <= {m.label for m in admin.metric}
    assert len(admin.get("plotly_chart")) == 1


def test_a_finished_upload_is_deleted_after_a_question(admin: AppTest, service: Service) -> None:
    with ServiceClient(service.url, service.token) as client:
        uploads = [client.upload(one).id for one in two_files(service)]
    tab(admin, "Storage")
    assert {"first.zip", "second.zip"} <= {t.value for t in admin.text}
    admin.session_state[f"delete-{uploads[0]}"] = True
    admin.run()
    admin.button(key=f"delete-{uploads[0]}-sure").click().run()
    assert not admin.exception
    assert [u.id for u in service.store.list_uploads() if u.id in uploads] == [uploads[1]]


def two_files(service: Service) -> list[Path]:
    files = [service.artifacts.root / name for name in ("first.zip", "second.zip")]
    for n, file in enumerate(files):
        file.write_bytes(bytes(100 + n))
    return files


def test_a_token_is_made_shown_once_and_revoked(admin: AppTest, service: Service) -> None:
    tab(admin, "Tokens").text_input(key="token_name").set_value("robot arm")
    admin.button(key="token_make").click().run()
    secret = next(c.value for c in admin.code if c.value.startswith("fog_"))
    token = service.store.check_token(secret)
    assert token is not None
    assert token.name == "robot arm"
    admin.run()
    assert not [c for c in admin.code if c.value == secret], "it is shown once"
    admin.selectbox(key="token_revoke").set_value(token.id).run()
    admin.button(key="revoke").click().run()
    assert service.store.check_token(secret) is None


def test_a_token_needs_a_name(admin: AppTest) -> None:
    tab(admin, "Tokens").button(key="token_make").click().run()
    assert "Say who" in texts(admin)


def test_a_webhook_is_added_tried_and_removed(admin: AppTest, service: Service) -> None:
    tab(admin, "Webhooks").text_input(key="webhook_url").set_value("ftp://a.example")
    admin.button(key="webhook_add").click().run()
    assert "http" in texts(admin)
    admin.text_input(key="webhook_url").set_value("https://192.0.2.1/hook")
    admin.button(key="webhook_add").click().run()
    hook = service.store.add_webhook("https://receiver.invalid/hook")  # one that may be told
    admin.run()
    admin.button(key=f"test-{hook.id}").click().run()
    (told,) = service.store.list_deliveries(hook.id)
    assert told.event == "webhook.test"
    assert "webhook.test" in texts(admin)
    admin.button(key=f"remove-{hook.id}").click().run()
    assert hook.id not in [w.id for w in service.store.list_webhooks()]
