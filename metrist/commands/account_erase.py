"""`metrist account erase`: end an account with everything that is kept of it."""

import argparse
from contextlib import closing

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain.errors import InvalidBody, StoreUnavailable
from domain.events import SYSTEM
from domain.ids import KeyId
from domain.settings import Settings
from metrist import control
from schema import accounts, api_keys

REDIS_TIMEOUT_S = 2.0


def run(options: argparse.Namespace) -> None:
    """Erase it, if its name was said a second time. Raises NotFound, InvalidBody."""
    settings = control.settings_for(options.data)
    with control.opened(settings) as opened:
        account = control.find_account(opened.engine, options.name)
        if options.confirm != account.name:
            says = f"it cannot be undone: metrist account erase {options.name!r} --confirm {account.name!r}"
            raise InvalidBody(
                f"this erases {account.name} ({account.id}) with all its nodes, keys and samples, and {says}"
            )
        keys = [key.id for key in api_keys.list_for(opened.engine, account.id) if key.revoked_at is None]
        accounts.delete(opened.engine, account.id, control.now(), actor=SYSTEM)
    _tell(settings, keys)
    print(f"Erased {account.name} ({account.id}) from the control DB; the scheduler has its samples erased, soon after")
    print("Backups keep what they have until their moments are forgotten: metrist backup DEST --keep N")


def _tell(settings: Settings, keys: list[KeyId]) -> None:
    """Have the API processes refuse its keys now; without Redis they do so within seconds."""
    client = redis.Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    with closing(client):
        try:
            for key_id in keys:
                api_keys.tell_revoked_sync(client, key_id)
        except StoreUnavailable:
            print("Redis does not answer: API processes that run will refuse its keys within 5 s, not at once")
