"""Uploads whose bytes were removed; the row says what datasets were made of."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("removed_at", sa.Float))


def downgrade() -> None:
    op.drop_column("uploads", "removed_at")
