"""The control DB: tables, migrations and how it is opened, on SQLite and on PostgreSQL."""
