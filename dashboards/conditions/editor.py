"""Make, change, pause and delete a condition."""

from datetime import UTC, datetime
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboards.conditions import form
from dashboards.conditions.common import HERE, REFUSALS, SAFELY, Viewing, go, place
from dashboards.conditions.form import Fields
from dashboards.render import page
from domain.condition_specs import Condition
from domain.conditions import Severity
from domain.errors import InvalidQuery, MetristError
from domain.permissions import Permission, require
from schema import conditions
from schema.sessions import Viewer

router = APIRouter()


@router.get(f"{HERE}/new")
def begin(request: Request, viewer: Viewing) -> Response:
    """An empty form, or one with the query of a graph."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    try:
        fields = form.fields_from_address(request.url.query)
    except InvalidQuery as refusal:
        return _show(request, viewer, form.EMPTY, refusal=refusal)
    if request.query_params.get("about") == "nodes":
        fields["kind"] = "nodes"
    return _show(request, viewer, fields)


@router.post(f"{HERE}/new", dependencies=SAFELY)
async def create(request: Request, viewer: Viewing) -> Response:
    """Make it."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    fields = form.fields_of(await request.form())
    control, now = request.app.state.stores.control, datetime.now(UTC)

    def work() -> Response:
        try:
            spec = form.spec_from(fields)
            made = conditions.create(control, viewer.account_id, fields["name"], spec, now, actor=viewer.actor)
        except REFUSALS as refusal:
            return _show(request, viewer, fields, refusal=refusal)
        return go(place(made.id, said="made"))

    return await to_thread.run_sync(work)


@router.get(f"{HERE}/{{condition_id}}/edit")
def edit(request: Request, viewer: Viewing, condition_id: UUID) -> Response:
    """The form of one. Raises NotFound."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    found = conditions.find(request.app.state.stores.control, viewer.account_id, condition_id)
    return _show(request, viewer, form.fields_from(found.name, found.spec), condition=found)


@router.post(f"{HERE}/{{condition_id}}/edit", dependencies=SAFELY)
async def change(request: Request, viewer: Viewing, condition_id: UUID) -> Response:
    """Save it. Raises NotFound."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    fields = form.fields_of(await request.form())
    control, now = request.app.state.stores.control, datetime.now(UTC)

    def work() -> Response:
        found = conditions.find(control, viewer.account_id, condition_id)
        try:
            spec = form.spec_from(fields)
            account_id, name = viewer.account_id, fields["name"]
            conditions.change(control, account_id, condition_id, name, spec, now, actor=viewer.actor)
        except REFUSALS as refusal:
            return _show(request, viewer, fields, condition=found, refusal=refusal)
        return go(place(condition_id, said="changed"))

    return await to_thread.run_sync(work)


@router.post(f"{HERE}/{{condition_id}}/switch", dependencies=SAFELY)
def switch(request: Request, viewer: Viewing, condition_id: UUID, on: str = "") -> Response:
    """Pause it, or judge it again. Raises NotFound."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    conditions.switch(control, viewer.account_id, condition_id, bool(on), now, actor=viewer.actor)
    return go(place(condition_id, said="resumed" if on else "paused"))


@router.post(f"{HERE}/{{condition_id}}/delete", dependencies=SAFELY)
def delete(request: Request, viewer: Viewing, condition_id: UUID) -> Response:
    """End it. Raises NotFound."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    conditions.remove(control, viewer.account_id, condition_id, now, actor=viewer.actor)
    return go(f"{HERE}?said=deleted")


def _show(
    request: Request,
    viewer: Viewer,
    fields: Fields,
    *,
    condition: Condition | None = None,
    refusal: MetristError | None = None,
) -> Response:
    """The form; `fields` is what stands in it."""
    return page(
        request,
        "condition_edit.html",
        viewer,
        place="conditions/edit",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="",
        condition=condition,
        fields=fields,
        choices=form,
        severities=list(Severity),
    )
