"""/docs/problems: what each problem type means; every problem's `type` points here."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboards.render import page
from domain.errors import MetristError

router = APIRouter()


@router.get("/docs/problems", include_in_schema=False)
def show_problem_types(request: Request) -> HTMLResponse:
    """Every type with its status, title and remedy; anyone may read it."""
    return page(
        request, "problem_types.html", types=sorted(_types(MetristError), key=lambda kind: (kind.status, kind.slug))
    )


def _types(kind: type[MetristError]) -> list[type[MetristError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _types(child))]
