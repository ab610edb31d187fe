"""Run by alembic: use the connection and the transaction of `core.jobs.migrate.upgrade`."""

from alembic import context

from core.jobs.tables import metadata

# Without transactional_ddl alembic would commit between migrations on SQLite.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
