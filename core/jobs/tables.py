"""The tables, the same on SQLite and PostgreSQL. Times are Unix seconds."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()
# SQLite counts up by itself only for a key declared exactly INTEGER.
_counter = BigInteger().with_variant(Integer, "sqlite")


def _project() -> Column[str]:
    """Every row belongs to a project, and is seen by callers of that project only."""
    return Column("project", String(60), nullable=False, server_default="default")


jobs = Table(
    "jobs",
    metadata,
    Column("seq", _counter, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    _project(),
    Column("kind", String(20), nullable=False),
    Column("name", String(120), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("output_id", String(40), nullable=False, unique=True),
    Column("pipeline", String(40)),
    Column("state", String(12), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("owner", String(200)),
    Column("hb_seq", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("not_before", Float),
    Column("needs_bytes", BigInteger),
    Column("progress", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Column("error", Text),
    Column("ended_by", String(40)),
    Column("submitter", String(40), nullable=False),
    Column("idem_key", String(255)),
    Column("body_hash", String(64)),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    UniqueConstraint("submitter", "idem_key", name="uq_jobs_idempotency"),
    Index("ix_jobs_state_seq", "state", "seq"),
    Index("ix_jobs_project_seq", "project", "seq"),
    Index("ix_jobs_pipeline", "pipeline"),
    Index("ix_jobs_ended_by", "ended_by"),
)

job_dependencies = Table(
    "job_dependencies",
    metadata,
    Column("job_id", String(40), ForeignKey("jobs.id"), primary_key=True),
    Column("depends_on", String(40), ForeignKey("jobs.id"), primary_key=True),
    Index("ix_job_dependencies_depends_on", "depends_on"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("seq", _counter, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    _project(),
    Column("type", String(12), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("name", String(120), nullable=False),
    Column("job_id", String(40), ForeignKey("jobs.id"), nullable=False, unique=True),
    Column("summary", JSON, nullable=False),
    Column("lineage", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_artifacts_type_seq", "type", "seq"),
    Index("ix_artifacts_project_seq", "project", "type", "seq"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(40), primary_key=True),
    _project(),
    Column("filename", String(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    # Its bytes are gone; what it was stays, for the lineage of what was made of it.
    Column("removed_at", Float),
)

# An upload on its way: its whole size counts against the quota from the start.
announced_uploads = Table(
    "announced_uploads",
    metadata,
    Column("id", String(40), primary_key=True),
    _project(),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_announced_uploads_project", "project"),
)

projects = Table(
    "projects",
    metadata,
    Column("name", String(60), primary_key=True),
    Column("upload_quota", BigInteger),
    Column("created_at", Float, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("queues", JSON, nullable=False),
    Column("gpus", JSON, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(40), primary_key=True),
    _project(),
    Column("name", String(120), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
)

# Addresses that are told when a job of the project has ended.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(40), primary_key=True),
    _project(),
    Column("url", String(2000), nullable=False),
    Column("secret", String(80), nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_webhooks_project", "project"),
)

# Written in the transaction that ends the job, so that no end goes untold.
deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", _counter, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("webhook_id", String(40), ForeignKey("webhooks.id"), nullable=False),
    Column("job_id", String(40), nullable=False),
    Column("event", String(20), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("status_code", Integer),
    Column("error", Text),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    Index("ix_deliveries_webhook_seq", "webhook_id", "seq"),
    Index("ix_deliveries_state_due", "state", "not_before"),
)
