"""What can go wrong with a release."""

from domain.errors import StartRefused


class UpgradeRefused(StartRefused):
    """Nothing was changed, or all of it was changed back; the message is the one line the operator reads."""


class ReleaseBad(UpgradeRefused):
    """The release itself does not do what it must: it is taken back and not tried again."""


class ReleaseUntrusted(UpgradeRefused):
    """What was found is not what somebody whom we trust has signed."""
