"""Every route of the application, with the names of what it takes, read at run time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi.dependencies.models import Dependant
from starlette.routing import BaseRoute


@dataclass(frozen=True)
class Route:
    """One method of one path; `/` parts in braces are its path parameters."""

    method: str
    path: str
    in_path: frozenset[str] = frozenset()
    in_query: frozenset[str] = frozenset()
    in_form: frozenset[str] = frozenset()

    @property
    def parameters(self) -> frozenset[str]:
        return self.in_path | self.in_query | self.in_form

    @property
    def takes_body(self) -> bool:
        """It reads its body itself, as the agents' API does."""
        return self.method in ("POST", "PUT") and self.path.startswith("/api/")

    @property
    def is_stream(self) -> bool:
        """It answers with server-sent events, and for as long as one listens."""
        return self.path.endswith("/stream")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def all_routes(routes: Iterable[BaseRoute]) -> Iterator[Route]:
    """FastAPI keeps included routers as they are, so one looks into them."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from all_routes(inner.routes)
            continue
        dependant = getattr(route, "dependant", None)
        names = _names(dependant) if dependant else (frozenset[str](),) * 3
        for method in sorted(getattr(route, "methods", None) or ()):
            yield Route(method, route.path, *names)  # type: ignore[attr-defined]


def _names(dependant: Dependant) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    path, query, form = (
        frozenset(field.alias for field in found)
        for found in (dependant.path_params, dependant.query_params, dependant.body_params)
    )
    for inner in dependant.dependencies:
        more = _names(inner)
        path, query, form = path | more[0], query | more[1], form | more[2]
    return path, query, form
