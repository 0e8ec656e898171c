"""The form of a monitor: what people type, as it is read, and as it is shown to them again."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Form

from domain import monitors as rules
from domain.errors import InvalidBody
from domain.monitors import SCRIPT_MAX_BYTES, Limits, Spec, Target

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
                parameters={name: _value(text) for name, text in _pairs(self.parameters, "Parameters").items()},
            )
        )

    def target(self) -> Target:
        """The nodes that it describes. Raises InvalidBody."""
        return rules.check_target(Target(tuple(self.nodes.replace(",", " ").split()), self.match))

    @property
    def expected_head(self) -> int | None:
        return int(self.head) if self.head.isdigit() and len(self.head) < 10 else None


def filled(
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
    return Filled(
        name=called,
        script=script.replace("\r\n", "\n"),
        interval_s=interval_s,
        timeout_s=timeout_s,
        capabilities=tuple(capability or ()),
        labels=labels,
        parameters=parameters,
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
        parameters=parameters_text(spec.parameters),
        memory_mb=str(spec.limits.memory_mb),
        cpu_ms=str(spec.limits.cpu_ms),
        samples=str(spec.limits.samples),
        match=target.match,
        nodes="\n".join(target.nodes),
        head=head,
    )


def parameters_text(parameters: Mapping[str, str | bool | int | float]) -> str:
    """A line each; texts that would be read as something else stand in quotes."""
    return "\n".join(f"{name}={_shown(value)}" for name, value in parameters.items())


def _shown(value: str | bool | int | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if _SHOWN_AS_TEXT.fullmatch(value) else value
    return str(value)


def _value(text: str) -> str | bool | int | float:
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
