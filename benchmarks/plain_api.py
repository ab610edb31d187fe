"""The yardstick of `benchmarks.load`: an API of one file, as FastAPI's own pages teach it.

Jobs in SQLite (write-ahead log, full sync) by SQLAlchemy, one session per request in a thread, a
token looked up by its hash; none of the promises. What it does on a machine says what the machine
can do.

    python -m benchmarks.plain_api --fd 3 --database plain.db --token secret
"""

import argparse
import hashlib
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import JSON, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {dict[str, Any]: JSON}


class Token(Base):
    __tablename__ = "tokens"
    digest: Mapped[str] = mapped_column(primary_key=True)


class Job(Base):
    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    state: Mapped[str]
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[float]


class NewJob(BaseModel):
    kind: str
    spec: dict[str, Any]


class Told(NewJob):
    id: str
    state: str
    created_at: float


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def plain_app(database: Path, token: str) -> FastAPI:
    """One job and one token are there from the start."""
    # As many connections as clients: by default, requests that hold one wait for a thread, and
    # those that have a thread wait for a connection.
    engine = create_engine(f"sqlite:///{database}", connect_args={"timeout": 5}, pool_size=200)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    Base.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    with sessions.begin() as first:
        first.add(Token(digest=digest(token)))
        first.add(Job(id="job", kind="ingest", state="queued", spec={}, created_at=time.time()))

    def session() -> Iterator[Session]:
        with sessions() as one:
            yield one

    SessionDep = Annotated[Session, Depends(session)]

    def known(db: SessionDep, authorization: Annotated[str, Header()]) -> None:
        if db.get(Token, digest(authorization.removeprefix("Bearer "))) is None:
            raise HTTPException(401)

    app = FastAPI(dependencies=[Depends(known)])

    @app.get("/api/v1/jobs/{job_id}")
    def get(job_id: str, db: SessionDep) -> Told:
        found = db.scalar(select(Job).where(Job.id == job_id))
        if found is None:
            raise HTTPException(404)
        return Told.model_validate(found, from_attributes=True)

    @app.post("/api/v1/jobs", status_code=202)
    def post(body: NewJob, db: SessionDep) -> Told:
        made = Job(id=secrets.token_hex(8), state="queued", created_at=time.time(), **vars(body))
        db.add(made)
        db.commit()
        return Told.model_validate(made, from_attributes=True)

    return app


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--fd", type=int, required=True)
    options.add_argument("--database", type=Path, required=True)
    options.add_argument("--token", required=True)
    given = options.parse_args()
    config = uvicorn.Config(plain_app(given.database, given.token), access_log=False)
    uvicorn.Server(config).run([socket.socket(fileno=given.fd)])


if __name__ == "__main__":
    main()
