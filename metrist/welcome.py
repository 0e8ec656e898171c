"""Ask the control DB for what `metrist up` prints: `python -m metrist.welcome [AGENT_KEY_FILE]`, answered as JSON."""

import dataclasses
import json
import sys
from pathlib import Path

from sqlalchemy import Engine

from domain import keys
from domain.ids import AccountId
from domain.settings import Settings
from metrist import control
from metrist.banner import Welcome
from metrist.datadir import write_private
from metrist.environment import read_settings
from schema import accounts, api_keys, sessions

AGENT_KEY_NAME = "local agent"


def main(agent_key_file: str) -> None:
    """Print the answer; keys pass through this pipe and nowhere else."""
    settings = read_settings()
    with control.opened(settings) as opened:
        print(json.dumps(dataclasses.asdict(welcome(opened.engine, settings))))
        if agent_key_file:
            keep_agent_key(opened.engine, Path(agent_key_file))


def welcome(engine: Engine, settings: Settings) -> Welcome:
    """A sign-in link for the first owner; on an empty control DB the first account with its key, too."""
    first = accounts.ensure_first(engine, control.now())
    owner = accounts.first_owner(engine)
    if owner is None:
        return Welcome("", first.key.secret if first else None)
    token = sessions.create_link(engine, owner.id, control.now(), settings.sign_in_link_minutes)
    return Welcome(f"{settings.base_url}/sign-in?token={token}", first.key.secret if first else None)


def keep_agent_key(engine: Engine, path: Path) -> None:
    """Have a working key of its own for the local agent; a revoked one stays revoked until its file is removed."""
    if path.exists() and _is_known(engine, path.read_text().strip()):
        return
    account = accounts.list_all(engine)[0]
    write_private(path, _new_key(engine, account.id))


def _is_known(engine: Engine, key: str) -> bool:
    key_id = keys.public_id(key)
    stored = api_keys.find_by_public_id(engine, key_id) if key_id else None
    return stored is not None and keys.matches(key, stored.secret_hash)


def _new_key(engine: Engine, account_id: AccountId) -> str:
    return api_keys.create(engine, account_id, AGENT_KEY_NAME, ("ingest",), control.now()).secret


if __name__ == "__main__":
    main(sys.argv[1])
