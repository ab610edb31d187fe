"""Projects as tenants, uploads on their way, and workers that say they are there."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What was there belongs to the default project, and so do tokens made before.
    for table in ("jobs", "artifacts", "uploads", "tokens"):
        project = sa.Column("project", sa.String(60), nullable=False, server_default="default")
        op.add_column(table, project)
    op.create_index("ix_jobs_project_seq", "jobs", ["project", "seq"])
    op.create_index("ix_artifacts_project_seq", "artifacts", ["project", "type", "seq"])
    op.create_table(
        "announced_uploads",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("project", sa.String(60), nullable=False, server_default="default"),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("ix_announced_uploads_project", "announced_uploads", ["project"])
    projects = op.create_table(
        "projects",
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("upload_quota", sa.BigInteger),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.bulk_insert(projects, [{"name": "default", "upload_quota": None, "created_at": 0.0}])
    op.create_table(
        "workers",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("queues", sa.JSON, nullable=False),
        sa.Column("gpus", sa.JSON, nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    for table in ("workers", "projects", "announced_uploads"):
        op.drop_table(table)
    op.drop_index("ix_artifacts_project_seq", "artifacts")
    op.drop_index("ix_jobs_project_seq", "jobs")
    for table in ("tokens", "uploads", "artifacts", "jobs"):
        op.drop_column(table, "project")
