"""`metrist key revoke`: end an API key."""

import argparse
from contextlib import closing

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain import keys
from domain.errors import NotFound, StoreUnavailable
from domain.ids import KeyId
from domain.settings import Settings
from metrist import control
from schema import api_keys

REDIS_TIMEOUT_S = 2.0


def run(options: argparse.Namespace) -> None:
    """Take the public id, or the whole key that somebody has found."""
    key_id = keys.public_id(options.id) or KeyId(options.id.removeprefix("mtr_"))
    settings = control.settings_for(options.data)
    with control.opened(settings) as opened:
        key = api_keys.find_by_public_id(opened.engine, key_id)
        if key is None:
            raise NotFound(f"there is no API key {key_id}; see `metrist key list`")
        was_good = api_keys.revoke(opened.engine, key.account_id, key_id, control.now())
    is_told = _tell(settings, key_id)
    print(f"Revoked {key_id}" if was_good else f"{key_id} was revoked before")
    if not is_told:
        print("Redis does not answer: API processes that run will refuse the key within 5 s, not at once")


def _tell(settings: Settings, key_id: KeyId) -> bool:
    """Have the API processes refuse it now; said again for a key that was revoked before, in case that was missed."""
    url = settings.redis_url.get_secret_value()
    client = redis.Redis.from_url(
        url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    with closing(client):
        try:
            api_keys.tell_revoked_sync(client, key_id)
        except StoreUnavailable:
            return False
        return True
