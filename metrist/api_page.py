"""docs/api.md, made from the OpenAPI document: every route, what it takes, gives and refuses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from api.app import create_app
from domain.settings import Settings

Schema = Mapping[str, Any]

LINE_CHARS: Final = 100
PROBLEM: Final = "application/problem+json"
TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}
INTRODUCTION: Final = """\
# API reference

Made from the OpenAPI document by `python -m metrist.docs`; do not edit. The server gives that document at
`/api/v1/openapi.json`. [Sending data](sending-data.md) explains how to use the routes that agents need.

Send the key as `Authorization: Bearer mtr_…`. Every refusal is a problem of RFC 9457; its `type` leads to
`/docs/problems` on the server, which says what to do. In the shapes below `?` marks what may be left out, and `…`
stands for names of your own.
"""


def api_page() -> str:
    """The whole page."""
    document = create_app(Settings(_env_file=None)).openapi()
    routes = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    listed = "".join(f"| [`{m} {p}`](#{_anchor(m, p)}) | {_first(_says(o))} |\n" for m, p, o in routes)
    sections = "\n".join(_section(*route) for route in routes)
    return f"{INTRODUCTION}\n| route | what it does |\n|---|---|\n{listed}\n{sections}"


def shape(schema: Schema, indent: str = "") -> str:
    """A JSON Schema as people write shapes: `{node: text, ts?: number}`, over several lines when it is long."""
    if "anyOf" in schema:
        kinds = [shape(one, indent) for one in schema["anyOf"]]
        return _either(list(dict.fromkeys(kinds)), indent)
    if "enum" in schema:
        return " | ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    match schema.get("type"):
        case "array":
            parts = schema.get("prefixItems") or [schema.get("items", {})]
            return f"[{', '.join(shape(one, indent) for one in parts)}]"
        case "object":
            return _object(schema, indent)
        case kind:
            return TYPES.get(str(kind), "anything")


def _either(kinds: list[str], indent: str) -> str:
    line = " | ".join(kinds)
    return line if len(line) + len(indent) <= LINE_CHARS else f"\n{indent}| ".join(kinds)


def _object(schema: Schema, indent: str) -> str:
    fields = schema.get("properties", {})
    if not fields:
        inner = schema.get("additionalProperties")
        return f"{{…: {shape(inner, indent)}}}" if isinstance(inner, Mapping) and inner else "{…}"
    required = schema.get("required", ())
    named = [f"{name}{'' if name in required else '?'}: " for name in fields]
    short = [f"{name}{shape(field)}" for name, field in zip(named, fields.values(), strict=True)]
    if len(line := f"{{{', '.join(short)}}}") + len(indent) <= LINE_CHARS and "\n" not in line:
        return line
    deeper = indent + "  "
    lines = [f"{deeper}{name}{shape(field, deeper)}" for name, field in zip(named, fields.values(), strict=True)]
    return "{\n" + "\n".join(lines) + f"\n{indent}}}"


def _section(method: str, path: str, operation: Schema) -> str:
    parts = [f"## {method} {path}\n", f"{_says(operation)}\n", f"{_who(operation)}\n"]
    parts += _parameters(operation.get("parameters", ()))
    if "requestBody" in operation:
        kinds = operation["requestBody"]["content"]
        parts.append(f"Takes {' or '.join(f'`{kind}`' for kind in kinds)}:\n")
        parts.append(_fenced(next(iter(kinds.values()))["schema"]))
    parts += _answers(operation["responses"])
    return "\n".join(parts)


def _says(operation: Schema) -> str:
    """What its docstring says, without the errors: those are listed below."""
    said = re.sub(r"\s*Raises [^.]*\.", "", operation.get("description", operation.get("summary", "")))
    return re.sub(r"(?<!\n)\n(?!\n)", " ", said).strip()


def _first(said: str) -> str:
    return re.split(r"(?<=[.;]) |\n", said, maxsplit=1)[0].rstrip(".;").replace("|", "\\|")


def _who(operation: Schema) -> str:
    ways = [next(iter(way)) for way in operation.get("security") or ()]
    if not ways:
        return "For anybody."
    names = {"key": "an API key", "session": "a signed-in person"}
    return f"For {', or '.join(names[way] for way in ways)}."


def _parameters(found: Sequence[Schema]) -> Iterator[str]:
    if not found:
        return
    rows = [f"| `{one['name']}` | {one['in']} | {_kind(one)} | {_default(one)} |" for one in found]
    yield "| parameter | in | is | default |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _kind(parameter: Schema) -> str:
    kind = shape(parameter["schema"]).removesuffix(" | null").replace("|", "or")
    if kind.startswith("["):
        kind = f"{kind[1:-1]}, may be repeated"
    return f"{kind}; {said}" if (said := parameter.get("description")) else kind


def _default(parameter: Schema) -> str:
    if parameter.get("required"):
        return "must be given"
    default = parameter["schema"].get("default")
    return "" if default in (None, "") else f"`{default}`"


def _answers(responses: Mapping[str, Schema]) -> Iterator[str]:
    for code, answer in responses.items():
        content = answer.get("content", {})
        if PROBLEM in content:
            continue
        kinds = f" as {' or '.join(f'`{kind}`' for kind in content)}" if content else ""
        yield f"Answers {code}, {answer['description']}{kinds}.\n"
        if content and code == next(iter(responses)):
            yield _fenced(next(iter(content.values()))["schema"])
    refusals = [f"{code} {one['description']}" for code, one in responses.items() if PROBLEM in one.get("content", {})]
    if refusals:
        yield f"Refuses with {' · '.join(refusals)}.\n"


def _fenced(schema: Schema) -> str:
    return f"```text\n{shape(schema)}\n```\n"


def _anchor(method: str, path: str) -> str:
    """As GitHub makes it from the heading."""
    return re.sub(r"[^a-z0-9 _-]", "", f"{method} {path}".lower()).replace(" ", "-")
