"""Bearer tokens: shown once, kept as a hash."""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Connection, bindparam, insert, select, update

from core.jobs.errors import TokenNotFound
from core.jobs.ids import new_id
from core.jobs.projects import project_row
from core.jobs.records import SCOPES, Token
from core.jobs.rows import Rows
from core.jobs.tables import tokens


class Tokens(Rows):
    """Who may call."""

    def create_token(
        self, name: str, *, scopes: Sequence[str] = SCOPES, expires_at: float | None = None
    ) -> str:
        """The secret of a new token of this store's project; `issue_token` tells the rest."""
        return self.issue_token(name, scopes=scopes, expires_at=expires_at)[1]

    def issue_token(
        self, name: str, *, scopes: Sequence[str] = SCOPES, expires_at: float | None = None
    ) -> tuple[Token, str]:
        """A new token and its secret of 256 random bits, which cannot be read again.

        `expires_at`: Unix seconds. Raises `ValueError` for an unknown scope, `ProjectNotFound`.
        """
        if not scopes or (unknown := set(scopes) - set(SCOPES)):
            named = f"unknown scopes {sorted(unknown)}" if scopes else "a token needs a scope"
            raise ValueError(f"{named}; there are {', '.join(SCOPES)}")
        plaintext = f"fog_{secrets.token_urlsafe(32)}"
        values = {
            "id": new_id("tok"),
            "project": self.own,
            "name": name,
            "sha256": _digest(plaintext),
            "scopes": [s for s in SCOPES if s in scopes],
            "created_at": self.clock(),
            "expires_at": expires_at,
        }

        def work(connection: Connection) -> None:
            project_row(connection, self.own)
            connection.execute(insert(tokens).values(**values))

        self.database.write(work)
        return Token.model_validate(values), plaintext

    def check_token(self, plaintext: str) -> Token | None:
        """The valid token with this secret; None if unknown, expired or revoked."""
        digest = _digest(plaintext)
        row = self.database.look(lambda c: c.execute(_BY_DIGEST, {"digest": digest}).first())
        if row is None or not hmac.compare_digest(row.sha256, digest):
            return None
        token = Token.model_validate(row)
        return token if token.valid_at(self.clock()) else None

    def valid_token(self, token_id: str) -> Token | None:
        """The token with this id, for addresses signed in its name; None unless it is valid."""
        query = select(tokens).where(tokens.c.id == token_id)
        row = self.database.read(lambda c: c.execute(query).first())
        token = None if row is None else Token.model_validate(row)
        return token if token is not None and token.valid_at(self.clock()) else None

    def list_tokens(self) -> list[Token]:
        """All tokens that may be seen, revoked ones too, oldest first."""
        query = select(tokens).where(self.mine(tokens)).order_by(tokens.c.created_at, tokens.c.id)
        return [
            Token.model_validate(r) for r in self.database.read(lambda c: c.execute(query).all())
        ]

    def revoke_token(self, token_id: str) -> Token:
        """Effective with the next request. Raises `TokenNotFound`."""
        this = (tokens.c.id == token_id) & self.mine(tokens)
        live = this & tokens.c.revoked_at.is_(None)
        statement = update(tokens).where(live).values(revoked_at=self.clock())
        self.database.write(lambda c: c.execute(statement))
        row = self.database.read(lambda c: c.execute(select(tokens).where(this)).first())
        if row is None:
            raise TokenNotFound(token_id)
        return Token.model_validate(row)


_BY_DIGEST = select(tokens).where(tokens.c.sha256 == bindparam("digest"))


def _digest(plaintext: str) -> str:
    return sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()
