"""Monitors as files: `NAME.lua` is a script, `NAME.toml` beside it what is set with it and which nodes it is for.

interval_s = 60
capabilities = ["http"]
parameters = { url = "http://127.0.0.1/health" }
declared = { url = { kind = "text", default = "http://127.0.0.1/" }, tries = { kind = "number", default = 3 } }
target = { match = "env=prod", nodes = ["web-1"] }
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from domain import monitors
from domain.errors import InvalidBody, MetristError
from domain.monitors import Spec, Target, as_json

TIMEOUT_S: Final = 30.0
PATH: Final = "/api/v1/monitors"


class CommandFailed(MetristError):
    """What the command says before it ends."""


@dataclass(frozen=True, slots=True)
class Written:
    """One monitor as its files have it."""

    name: str
    spec: Spec
    target: Target


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done for one monitor; `written` is None for one that is to be removed."""

    name: str
    sign: str
    what: str
    written: Written | None

    def __str__(self) -> str:
        return f"{self.sign} {self.name}{': ' + self.what if self.what else ''}"


def read(folder: Path) -> list[Written]:
    """All monitors of a folder, by name; raises CommandFailed that names the file."""
    if not folder.is_dir():
        raise CommandFailed(f"{folder} is no folder")
    scripts = sorted(folder.glob("*.lua"))
    alone = {path.stem for path in folder.glob("*.toml")} - {path.stem for path in scripts}
    if alone:
        raise CommandFailed(f"{folder / (min(alone) + '.toml')} has no script {min(alone)}.lua beside it")
    return [_read_one(path) for path in scripts]


class Server:
    """The API of a server, with a key of scope manage."""

    def __init__(self, address: str, key: str) -> None:
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(base_url=address.rstrip("/"), headers=headers, timeout=TIMEOUT_S)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def list_all(self) -> dict[str, dict[str, Any]]:
        """By name, what is there."""
        return {one["name"]: one for one in self._ask("GET", PATH)["monitors"]}

    def write(self, written: Written, note: str, *, push: bool) -> dict[str, Any]:
        body = {"spec": as_json(written.spec), "target": as_json(written.target), "note": note, "push": push}
        return self._ask("PUT", f"{PATH}/{written.name}", body)

    def remove(self, name: str) -> None:
        self._ask("DELETE", f"{PATH}/{name}")

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, json=body)
            told: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise CommandFailed(f"{self._client.base_url} does not answer as Metrist does: {error}") from error
        if answer.status_code >= 400:
            raise CommandFailed(f"{path.rpartition('/')[2]}: {told.get('detail', answer.status_code)}")
        return told


def compare(written: Sequence[Written], there: Mapping[str, Mapping[str, Any]], *, prune: bool) -> Iterator[Change]:
    """What makes the server's monitors those of the files, by name; `prune` removes those without a file."""
    for one in written:
        known = there.get(one.name)
        if known is None:
            yield Change(one.name, "+", "new", one)
            continue
        what = _differences(one, known)
        if what:
            yield Change(one.name, "~", ", ".join(what), one)
    if prune:
        yield from (Change(name, "-", "", None) for name in sorted(there.keys() - {one.name for one in written}))


def _differences(one: Written, known: Mapping[str, Any]) -> list[str]:
    spec, was = as_json(one.spec), known["spec"]
    what = [name for name in {**spec, **was} if spec.get(name) != was.get(name)]
    what += ["target"] if as_json(one.target) != known["target"] else []
    return what or (["not pushed"] if known["pushed"] != known["version"] else [])


def _read_one(path: Path) -> Written:
    settings_path = path.with_suffix(".toml")
    try:
        settings = tomllib.loads(settings_path.read_text("utf-8")) if settings_path.exists() else {}
        target = monitors.read_target(settings.pop("target", {}))
        spec = monitors.read({**settings, "script": path.read_text("utf-8")})
        return Written(monitors.clean_name(path.stem), spec, target)
    except (InvalidBody, tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        detail = error.detail if isinstance(error, InvalidBody) else str(error)
        raise CommandFailed(f"{path}: {detail}") from error
