"""Our questions as text that needs no parameters: for people who ask ClickHouse themselves."""

import re
from collections.abc import Mapping
from typing import Any

_PLACE = re.compile(r"\{(\w+):(\w+)\}")


def inline(sql: str, parameters: Mapping[str, Any]) -> str:
    """Put each parameter's value where it belongs, as a literal of its type; what values hold is never read as SQL."""
    return _PLACE.sub(lambda place: _literal(parameters[place[1]], place[2]), sql)


def indented(sql: str) -> str:
    """The same with its subqueries set in, one step for each parenthesis that has a line to itself, and no comments."""
    lines, depth = [], 0
    for line in sql.splitlines():
        text = line.strip()
        if not text or text.startswith("--"):
            continue
        depth -= text.startswith(")")
        own = "" if text[0] in "()" else line[: len(line) - len(line.lstrip())]
        lines.append("    " * depth + own + text)
        depth += text == "("
    return "\n".join(lines)


def quoted(text: str) -> str:
    """A text as ClickHouse reads it back."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\0", "\\0")
    return f"'{escaped}'"


def _literal(value: Any, kind: str) -> str:
    match kind:
        case "UInt32":
            return str(int(value))
        case "UUID":
            return f"toUUID({quoted(str(value))})"
        case "String":
            return quoted(str(value))
    raise AssertionError(f"no literal is known for {kind}")
