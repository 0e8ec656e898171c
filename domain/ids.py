"""Ids as types, so that swapping two is a type error."""

from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", UUID)
UserId = NewType("UserId", UUID)
NodeId = NewType("NodeId", UUID)
KeyId = NewType("KeyId", str)
"""The public part of an API key: 16 lower-case hex digits."""
InvitationId = NewType("InvitationId", str)
"""The public part of an invitation: 16 lower-case hex digits."""
ShareId = NewType("ShareId", str)
"""The public part of a link to a dashboard: 16 lower-case hex digits."""

VERSION_MAX, ENTRY_MAX = 2**31 - 1, 2**63 - 1
"""The largest version of a stream and the largest entry of the log that the control database can hold."""
