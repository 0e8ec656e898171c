"""Backups: everything of a running platform as of one moment, and an empty machine made of it again."""
