"""GET /metrics: the platform's figures, as Prometheus reads them.

They tell how much is going on, and on which disks; so they are for the operator: for who has METRIST_METRICS_TOKEN, or,
where none is set, for this machine itself. A proxy on this machine that hands requests on says so in X-Forwarded-For,
and what it hands on is not from this machine.
"""

import ipaddress
from collections.abc import Iterator, Sequence

from fastapi import APIRouter
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from api import figures
from domain import tokens
from domain.errors import Forbidden, MissingKey
from domain.metering import Family
from domain.settings import Settings

router = APIRouter()
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


@router.get("/metrics", include_in_schema=False)
async def get_metrics(request: Request) -> Response:
    """Everything; `Accept: application/openmetrics-text` gives that dialect. Raises MissingKey, Forbidden."""
    require_operator(request)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    text = encode(Gathered(await figures.everything(request.app.state)))
    return Response(text, headers={"content-type": media_type, "cache-control": "no-store"})


class Gathered(Collector):
    """Our families as Prometheus's own client writes them."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.says, family.kind)
            total = "_total" if family.kind == "counter" else ""
            for point in family.points:
                metric.add_sample(f"{family.name}{total}{point.suffix}", point.labels, point.value)
            yield metric


def require_operator(request: Request) -> None:
    """Raises MissingKey for who does not send the token, Forbidden for another machine where there is none."""
    settings: Settings = request.app.state.settings
    wanted = settings.metrics_token.get_secret_value()
    if wanted:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not tokens.matches(given.strip(), tokens.digest(wanted)):
            raise MissingKey("figures are for who sends METRIST_METRICS_TOKEN as the header Authorization: Bearer …")
    elif not _is_here(request):
        raise Forbidden("figures are told to this machine only; set METRIST_METRICS_TOKEN to read them from another")


def _is_here(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
