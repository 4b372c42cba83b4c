"""Runs the migrations, in one transaction, one process at a time."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app import logs
from app.db import Base
from app.settings import sqlalchemy_url, variable

# Any number, as long as it is ours: two deployments that start at once take turns.
LOCK = 0x00C07A1


def migrate() -> None:
    """Bring the database to the wanted revision; only DATABASE_URL is needed, not the other settings."""
    engine = create_engine(
        sqlalchemy_url(variable("DATABASE_URL")),
        poolclass=NullPool,
        connect_args={"connect_timeout": 10, "application_name": "cotai-migrate"},
    )
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            context.run_migrations()


if context.is_offline_mode():  # `--sql`: standard output is for the statements alone
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    logs.configure(variable("LOG_LEVEL"))
    migrate()
