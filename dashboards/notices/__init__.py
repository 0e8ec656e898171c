"""The pages of what tells: channels, routes, silences, the log of deliveries, and the links of e-mails."""

from fastapi import APIRouter

from dashboards.notices import channel, channels, deliveries, mail, routes, silences, trying

router = APIRouter(include_in_schema=False)
for part in (trying, channels, channel, routes, silences, deliveries, mail):
    router.include_router(part.router)
