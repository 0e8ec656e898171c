"""Forward steps of the control DB, run by Alembic through schema/control/migrate.py."""
