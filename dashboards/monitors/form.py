"""The form of a monitor: what people type, as it is read, and as it is shown to them again."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Form, Request

from domain import monitor_parameters
from domain import monitors as rules
from domain.errors import InvalidBody
from domain.monitor_parameters import Parameter, Value
from domain.monitors import SCRIPT_MAX_BYTES, Limits, Spec, Target

VALUE = "p."
"""Before the name of a parameter in the name of the field that sets it."""

_TEXT = Annotated[str, Form(max_length=20_000)]
_NUMBER = re.compile(r"-?\d{1,16}(\.\d{1,16})?")
_SHOWN_AS_TEXT = re.compile(r'true|false|-?\d+(\.\d+)?|".*"|\s.*|.*\s|', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Filled:
    """The form as it was sent, or is to be shown: texts, whatever stands in them."""

    name: str = ""
    script: str = ""
    interval_s: str = "60"
    timeout_s: str = "10"
    capabilities: tuple[str, ...] = ()
    labels: str = ""
    parameters: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    memory_mb: str = "32"
    cpu_ms: str = "1000"
    samples: str = "100"
    match: str = ""
    nodes: str = ""
    note: str = ""
    head: str = ""
    node: str = ""

    def spec(self) -> Spec:
        """The version that it describes. Raises InvalidBody."""
        declared, plain = read_parameters(self.parameters)
        limits = Limits(
            _whole(self.memory_mb, "The memory"), _whole(self.cpu_ms, "The CPU time"), _whole(self.samples, "Samples")
        )
        return rules.check(
            Spec(
                script=self.script,
                interval_s=_whole(self.interval_s, "The interval"),
                timeout_s=_whole(self.timeout_s, "The timeout"),
                labels=_pairs(self.labels, "Labels"),
                limits=limits,
                capabilities=self.capabilities,
                parameters={**plain, **_set(declared, self.values)},
                declared=declared,
            )
        )

    def target(self) -> Target:
        """The nodes that it describes. Raises InvalidBody."""
        return rules.check_target(Target(tuple(self.nodes.replace(",", " ").split()), self.match))

    @property
    def expected_head(self) -> int | None:
        return int(self.head) if self.head.isdigit() and len(self.head) < 10 else None


async def filled(
    request: Request,
    called: Annotated[str, Form(alias="name", max_length=1_000)] = "",
    script: Annotated[str, Form(max_length=2 * SCRIPT_MAX_BYTES)] = "",
    interval_s: _TEXT = "60",
    timeout_s: _TEXT = "10",
    capability: Annotated[list[str] | None, Form(max_length=10)] = None,
    labels: _TEXT = "",
    parameters: Annotated[str, Form(max_length=50_000)] = "",
    memory_mb: _TEXT = "32",
    cpu_ms: _TEXT = "1000",
    samples: _TEXT = "100",
    match: _TEXT = "",
    nodes: Annotated[str, Form(max_length=200_000)] = "",
    note: _TEXT = "",
    head: _TEXT = "",
    node: _TEXT = "",
) -> Filled:
    """The form of a request."""
    sent = (await request.form()).multi_items()
    return Filled(
        name=called,
        script=script.replace("\r\n", "\n"),
        interval_s=interval_s,
        timeout_s=timeout_s,
        capabilities=tuple(capability or ()),
        labels=labels,
        parameters=parameters,
        values={name.removeprefix(VALUE): str(value)[:20_000] for name, value in sent if name.startswith(VALUE)},
        memory_mb=memory_mb,
        cpu_ms=cpu_ms,
        samples=samples,
        match=match,
        nodes=nodes,
        note=note,
        head=head,
        node=node,
    )


def show(name: str, spec: Spec, target: Target, *, head: str = "") -> Filled:
    """The form of a monitor as it is."""
    return Filled(
        name=name,
        script=spec.script,
        interval_s=str(spec.interval_s),
        timeout_s=str(spec.timeout_s),
        capabilities=spec.capabilities,
        labels="\n".join(f"{key}={value}" for key, value in spec.labels.items()),
        parameters=parameters_text(spec),
        values={
            name: monitor_parameters.shown(value) for name, value in spec.parameters.items() if name in spec.declared
        },
        memory_mb=str(spec.limits.memory_mb),
        cpu_ms=str(spec.limits.cpu_ms),
        samples=str(spec.limits.samples),
        match=target.match,
        nodes="\n".join(target.nodes),
        head=head,
    )


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter as the form asks for it; `text` is what stands in its field, "" for the default."""

    name: str
    declared: Parameter
    text: str
    problem: str

    @property
    def default(self) -> str:
        return monitor_parameters.shown(self.declared.default)


def fields_of(form: Filled) -> Sequence[Field]:
    """A field for each parameter that is declared, with what is wrong with what stands in it. Raises InvalidBody."""
    declared, _ = read_parameters(form.parameters)
    return [_field(name, one, form.values.get(name, "").strip()) for name, one in declared.items()]


def read_parameters(text: str) -> tuple[dict[str, Parameter], dict[str, Value]]:
    """What the lines declare, and what they set without declaring it. Raises InvalidBody with the line."""
    declared: dict[str, Parameter] = {}
    plain: dict[str, Value] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            name = _read_line(line, declared, plain)
        except InvalidBody as error:
            raise InvalidBody(f"Parameters, line {number}: {error.detail}") from error
        if list(declared).count(name) + list(plain).count(name) > 1:
            raise InvalidBody(f"Parameters, line {number}: {name} stands there twice")
    return declared, plain


def _read_line(line: str, declared: dict[str, Parameter], plain: dict[str, Value]) -> str:
    """Put what a line says where it belongs; returns the name."""
    before, equals, after = (part.strip() for part in line.partition("="))
    if ":" not in before:
        if not equals:
            raise InvalidBody(f"lines are like name: number = 1; “{line.strip()[:60]}” is none")
        if before in plain:
            raise InvalidBody(f"{before[:60]} stands there twice")
        plain[before] = _value(after)
        return before
    name, one = monitor_parameters.read_line(line)
    if name in declared:
        raise InvalidBody(f"{name} stands there twice")
    declared[name] = one
    return name


def _field(name: str, declared: Parameter, text: str) -> Field:
    problem = ""
    try:
        _set({name: declared}, {name: text})
    except InvalidBody as error:
        problem = error.detail
    return Field(name, declared, text, problem)


def _set(declared: Mapping[str, Parameter], texts: Mapping[str, str]) -> dict[str, Value]:
    """The values of fields that somebody filled in; an empty one means the default. Raises InvalidBody."""
    found: dict[str, Value] = {}
    for name, one in declared.items():
        text = texts.get(name, "").strip()
        if text:
            found[name] = monitor_parameters.read_value(one.kind, text, name)
            monitor_parameters.check_value(name, one, found[name])
    return found


def parameters_text(spec: Spec) -> str:
    """A line each; texts without a type that would be read as something else stand in quotes."""
    plain = {name: value for name, value in spec.parameters.items() if name not in spec.declared}
    lines = [monitor_parameters.line_of(name, one) for name, one in spec.declared.items()]
    return "\n".join([*lines, *(f"{name}={_shown(value)}" for name, value in plain.items())])


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if _SHOWN_AS_TEXT.fullmatch(value) else value
    return str(value)


def _value(text: str) -> Value:
    """`true` and `5` are what they look like; what stands in quotes is a text."""
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text):
        number = float(text)
        return int(number) if number == math.floor(number) and "." not in text else number
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _pairs(text: str, what: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise InvalidBody(f"{what} are lines like name=value; “{line.strip()[:60]}” is none")
        if name in pairs:
            raise InvalidBody(f"{what}: {name[:60]} stands there twice")
        pairs[name] = value
    return pairs


def _whole(text: str, what: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip()):
        raise InvalidBody(f"{what} is a whole number, not “{text[:20]}”")
    return int(text)
