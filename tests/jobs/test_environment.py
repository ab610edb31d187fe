"""Passwords that come in files of their own."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from api.settings import Settings
from core.jobs.environment import Environment

URL = "postgresql://foglab@postgres:5432/foglab"


def read(tmp_path: Path, password: str, url: str = URL, what: str = "DATABASE") -> Environment:
    file = tmp_path / "password"
    file.write_text(password, encoding="utf-8")
    return Environment.read({f"FOGLAB_{what}_URL": url, f"FOGLAB_{what}_PASSWORD_FILE": str(file)})


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1))
def test_any_password_reaches_the_database_as_it_stands_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, password: str
) -> None:
    if not password.strip():
        return
    found = make_url(read(tmp_path_factory.mktemp("secret"), password + "\n").database_url)
    assert found.password == password.strip()
    assert (found.username, found.host, found.port) == ("foglab", "postgres", 5432)
    assert found.database == "foglab"


def test_broker_without_a_user_gets_a_password_too(tmp_path: Path) -> None:
    parts = urlsplit(read(tmp_path, "a/b@c", "redis://redis:6379/0", "BROKER").broker_url)
    assert (parts.username, unquote(parts.password or "")) == ("", "a/b@c")
    assert (parts.hostname, parts.port, parts.path) == ("redis", 6379, "/0")


def test_child_gets_the_whole_address_and_reads_the_same(tmp_path: Path) -> None:
    environment = read(tmp_path, "secret")
    assert Environment.read(environment.variables()) == environment


def test_api_reads_the_password_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("secret\n")
    monkeypatch.setenv("FOGLAB_HOME", str(tmp_path))
    monkeypatch.setenv("FOGLAB_DATABASE_URL", URL)
    monkeypatch.setenv("FOGLAB_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    found = Settings().environment.database_url
    assert found == "postgresql://foglab:secret@postgres:5432/foglab"


@pytest.mark.parametrize(
    ("password", "url", "words"),
    [
        ("secret", "", "names no server"),
        ("secret", "sqlite:////data/foglab.db", "names no server"),
        ("secret", "postgresql://foglab:other@postgres/foglab", "has a password too"),
        (" \n", URL, "is empty"),
    ],
)
def test_password_file_that_does_not_fit_is_refused(
    tmp_path: Path, password: str, url: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        read(tmp_path, password, url)


def test_missing_password_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"FOGLAB_DATABASE_PASSWORD_FILE: .*none cannot be read"):
        Environment.read(
            {
                "FOGLAB_DATABASE_URL": URL,
                "FOGLAB_DATABASE_PASSWORD_FILE": str(tmp_path / "none"),
            }
        )
