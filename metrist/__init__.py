"""The command `metrist`: starts, watches and administers the platform."""
