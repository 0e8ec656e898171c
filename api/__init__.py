"""HTTP for agents and programs: parse, authenticate, call, answer."""
