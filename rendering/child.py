"""Renders one template and ends: a process of its own, started by process.py, that holds nothing worth stealing.

It reads its job as JSON from descriptor 0 and answers on descriptor 1, a file: `{"bodies": […]}`, or `{"message": …,
"line": …}`. Between reading the job and looking at the template it gives up what it will not need: the right to open
files and sockets, to start processes, and more memory and processor time than a body takes.
"""

import codecs
import json
import math
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import jinja2.debug  # noqa: F401  # what jinja2 would load to tell a line, when nothing can be opened any more
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

for _name in ("ascii", "unicode-escape", "utf-8"):
    codecs.lookup(_name)  # that of a text in quotes, and the module behind it, is loaded when first asked for

NOBODY = 65_534
PLACE = "<template>"
FILTERS = (
    "abs", "batch", "capitalize", "count", "d", "default", "dictsort", "first", "float", "groupby", "int", "items",
    "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse",
    "round", "select", "selectattr", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper",
    "urlencode",
)  # fmt: skip
"""Of Jinja2's own; those for HTML would only mislead, and a body has no use for the others."""
LEFT_OUT: Mapping[type[nodes.Node], str] = {
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
    nodes.FilterBlock: "filter",
    nodes.AssignBlock: "set … endset",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.EvalContextModifier: "autoescape",
}
"""Their output would be escaped twice, or not at all; there is nothing to include."""


class Json(str):
    """Is JSON as it stands."""

    __slots__ = ()


class Labels(dict[str, Any]):
    """Names of the account's own: one that this notice lacks is the empty text, and no error."""

    def __missing__(self, _name: object) -> str:
        return ""


class TooMuch(Exception):
    """A body that is longer than it may be."""


def main() -> NoReturn:
    """Do the job on descriptor 0 and end without looking back: no destructor runs."""
    job = json.loads(sys.stdin.buffer.read())
    _restrain(job["limits"])
    done = json.dumps(_done(job)).encode()
    while done:
        done = done[os.write(1, done) :]
    os._exit(0)


def _done(job: Mapping[str, Any]) -> dict[str, Any]:
    try:
        template = _environment(job["escapes"]).from_string(_checked(job))
        return {"bodies": [_body(template, facts, job["limits"]["body_bytes"]) for facts in job["facts"]]}
    except MemoryError:
        return {"message": "it needs too much memory", "line": 0}
    except RecursionError:
        return {"message": "it is nested too deeply", "line": 0}
    except Exception as error:  # whatever a template does is told to whoever wrote it
        return {"message": _said(error), "line": _line(error)}


def _checked(job: Mapping[str, Any]) -> nodes.Template:
    """The template, parsed; raises TemplateSyntaxError for what is left out of the language."""
    parsed = _environment(job["escapes"]).parse(job["source"])
    for kind, word in LEFT_OUT.items():
        for found in parsed.find_all(kind):
            raise TemplateSyntaxError(f"“{word}” is not part of a body's template", found.lineno)
    for loop in parsed.find_all(nodes.For):
        if loop.recursive:
            raise TemplateSyntaxError("a loop cannot be recursive here", loop.lineno)
    return parsed


def _environment(escapes: str) -> ImmutableSandboxedEnvironment:
    found = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=ESCAPES[escapes], trim_blocks=True, lstrip_blocks=True, cache_size=0
    )
    found.globals.clear()
    found.filters = {name: found.filters[name] for name in FILTERS} | {"tojson": _to_json}
    return found


def _to_json(value: object) -> Json:
    if isinstance(value, Undefined):
        str(value)  # raises, and names what is not there
        return Json('""')  # an inline `if` without its `else` is no mistake
    return Json(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _in_json(value: object) -> str:
    """A text goes between quotes that the template has, whatever it says; anything else is JSON by itself."""
    if isinstance(value, Json):
        return value
    return _to_json(value)[1:-1] if isinstance(value, str | Undefined) else _to_json(value)


def _in_form(value: object) -> str:
    return quote(_in_text(value), safe="")


def _in_text(value: object) -> str:
    return str(value) if isinstance(value, str | Undefined) else _to_json(value)


ESCAPES: Mapping[str, Callable[[object], str]] = {"json": _in_json, "form": _in_form, "text": _in_text}
"""What becomes of every value that a template shows, so that no label says more than a label."""


def _body(template: Any, facts: dict[str, Any], most: int) -> str:
    facts["group"] = Labels(facts["group"])
    for notice in facts["notices"]:
        notice["labels"] = Labels(notice["labels"])
    parts, size = [], 0
    for part in template.generate(facts):
        size += len(part.encode(errors="replace"))
        if size > most:
            raise TooMuch(f"a body has at most {most:,} bytes")
        parts.append(part)
    return "".join(parts)


def _said(error: Exception) -> str:
    if isinstance(error, SecurityError):
        return "that is not allowed in a template"
    if isinstance(error, (TemplateError, TooMuch)):
        return str(error.message if isinstance(error, TemplateError) else error) or type(error).__name__
    return f"{type(error).__name__}: {error}"


def _line(error: Exception) -> int:
    """The line of the template that it came from; 0 when none is known."""
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    frames = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == PLACE]
    return frames[-1] if frames else 0


def _restrain(limits: Mapping[str, Any]) -> None:
    """Give up all that the job does not need; what one system does not know, the others still hold."""
    signal.setitimer(signal.ITIMER_PROF, limits["cpu_s"])  # ends the process, also in the midst of one long operation
    cpu_s = math.ceil(_used_s() + limits["cpu_s"]) + 1
    for kind, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, _used_bytes() + limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, 8 * limits["body_bytes"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
    if os.geteuid() == 0:  # root could take it all back
        for give_up in (
            partial(os.setgroups, []),
            partial(os.setresgid, NOBODY, NOBODY, NOBODY),
            partial(os.setresuid, NOBODY, NOBODY, NOBODY),
        ):
            with suppress(OSError):
                give_up()


def _used_s() -> float:
    """Processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _used_bytes() -> int:
    """Address space in use."""
    try:
        return resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # no Linux
        return 1 << 34
