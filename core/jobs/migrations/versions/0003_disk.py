"""What a job waits for when the disk is full."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("needs_bytes", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("jobs", "needs_bytes")
