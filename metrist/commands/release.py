"""`metrist release`: make a release that `metrist upgrade` finds."""

import argparse
from datetime import UTC, datetime

from metrist.releases import signing
from metrist.releases.errors import UpgradeRefused
from metrist.releases.publish import publish


def run(options: argparse.Namespace) -> None:
    """Print what was made, and the public key that it can be verified with."""
    key = signing.load_key(options.key_file)
    try:
        number = publish(
            options.dir,
            options.wheel,
            key,
            datetime.now(UTC),
            agent=options.agent_wheel,
            constraints=options.constraints,
            oldest=options.oldest,
            notes=options.notes,
            url=options.url,
        )
    except OSError as error:
        raise UpgradeRefused(f"{error.filename}: {error.strerror}") from None
    print(f"Release {number} is in {options.dir}; METRIST_RELEASE_KEYS={signing.public_text(key)}")
