"""Who may call, and what was uploaded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.jobs.errors import TokenNotFound, UploadNotFound
from core.jobs.store import Store
from tests.jobs.makers import Clock


def test_token_is_known_by_its_secret_and_by_nothing_else(store: Store) -> None:
    secret = store.create_token("laptop", scopes=("read",))
    token = store.check_token(secret)
    assert token is not None
    assert (token.name, token.scopes) == ("laptop", ("read",))
    wrong = ("", secret[:-1], secret + " ", secret.swapcase(), token.id, "\ud800", "x" * 10_000)
    assert [store.check_token(w) for w in wrong] == [None] * len(wrong)


def test_revoked_token_is_refused_at_once(store: Store) -> None:
    secret = store.create_token("laptop")
    token = store.check_token(secret)
    assert token is not None
    assert store.revoke_token(token.id).revoked_at is not None
    assert store.check_token(secret) is None
    with pytest.raises(TokenNotFound):
        store.revoke_token("tok_0000000000000000")


def test_expired_token_is_refused(database_url: str, open_store: Callable[..., Store]) -> None:
    clock = Clock()
    store = open_store(database_url, clock=clock)
    secret = store.create_token("visitor", expires_at=clock.now + 10)
    assert store.check_token(secret) is not None
    clock.now += 10
    assert store.check_token(secret) is None


def test_unknown_scope_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="root"):
        store.create_token("laptop", scopes=("root",))


def test_secret_is_not_in_the_database_file(
    sqlite_url: str, open_store: Callable[..., Store]
) -> None:
    secret = open_store(sqlite_url).create_token("laptop")
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    files = [p.read_bytes() for p in folder.iterdir()]
    assert files
    assert not any(secret.encode() in content for content in files)


def test_upload_is_registered_once(store: Store) -> None:
    made = store.register_upload("up_" + "0" * 32, "logs.zip", 1 << 40, "a" * 64)
    assert store.register_upload(made.id, "other.zip", 1, "b" * 64) == made
    assert store.get_upload(made.id).size == 1 << 40
    with pytest.raises(UploadNotFound):
        store.get_upload("up_" + "1" * 32)
