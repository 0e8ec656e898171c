"""`metrist key revoke`: end an API key."""

import argparse

from domain import keys
from domain.errors import NotFound
from domain.ids import KeyId
from metrist import control
from schema import api_keys


def run(options: argparse.Namespace) -> None:
    """Take the public id, or the whole key that somebody has found."""
    key_id = keys.public_id(options.id) or KeyId(options.id.removeprefix("mtr_"))
    with control.opened(control.settings_for(options.data)) as opened:
        key = api_keys.find_by_public_id(opened.engine, key_id)
        if key is None:
            raise NotFound(f"there is no API key {key_id}; see `metrist account list`")
        was_good = api_keys.revoke(opened.engine, key.account_id, key_id, control.now())
    print(f"Revoked {key_id}" if was_good else f"{key_id} was revoked before")
