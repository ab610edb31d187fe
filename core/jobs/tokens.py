"""Bearer tokens: shown once, kept as a hash."""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import insert, select, update

from core.jobs.errors import TokenNotFound
from core.jobs.ids import new_id
from core.jobs.records import Token
from core.jobs.rows import Rows
from core.jobs.tables import tokens

SCOPES = ("read", "write", "admin")


class Tokens(Rows):
    """Who may call."""

    def create_token(
        self, name: str, *, scopes: Sequence[str] = SCOPES, expires_at: float | None = None
    ) -> str:
        """A new secret of 256 random bits. It cannot be read again. `expires_at`: Unix seconds."""
        if unknown := set(scopes) - set(SCOPES):
            raise ValueError(f"unknown scopes {sorted(unknown)}; there are {', '.join(SCOPES)}")
        plaintext = f"fog_{secrets.token_urlsafe(32)}"
        statement = insert(tokens).values(
            id=new_id("tok"),
            name=name,
            sha256=_digest(plaintext),
            scopes=list(scopes),
            created_at=self.clock(),
            expires_at=expires_at,
        )
        self.database.write(lambda c: c.execute(statement))
        return plaintext

    def check_token(self, plaintext: str) -> Token | None:
        """The valid token with this secret; None if unknown, expired or revoked."""
        digest = _digest(plaintext)
        query = select(tokens).where(tokens.c.sha256 == digest)
        row = self.database.read(lambda c: c.execute(query).first())
        if row is None or not hmac.compare_digest(row.sha256, digest):
            return None
        if row.revoked_at is not None:
            return None
        if row.expires_at is not None and row.expires_at <= self.clock():
            return None
        return Token.model_validate(row)

    def list_tokens(self) -> list[Token]:
        """All tokens, revoked ones too, oldest first."""
        query = select(tokens).order_by(tokens.c.created_at, tokens.c.id)
        return [
            Token.model_validate(r) for r in self.database.read(lambda c: c.execute(query).all())
        ]

    def revoke_token(self, token_id: str) -> Token:
        """Effective with the next request. Raises `TokenNotFound`."""
        live = (tokens.c.id == token_id) & tokens.c.revoked_at.is_(None)
        statement = update(tokens).where(live).values(revoked_at=self.clock())
        self.database.write(lambda c: c.execute(statement))
        query = select(tokens).where(tokens.c.id == token_id)
        row = self.database.read(lambda c: c.execute(query).first())
        if row is None:
            raise TokenNotFound(token_id)
        return Token.model_validate(row)


def _digest(plaintext: str) -> str:
    return sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()
