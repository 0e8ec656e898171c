"""Who may do what: each permission one row, and every role asked."""

import pytest

from domain.accounts import Role
from domain.errors import Forbidden
from domain.permissions import Permission, may, require

VIEWER, ADMIN, OWNER = Role.VIEWER, Role.ADMIN, Role.OWNER
TABLE = [
    (Permission.READ, {VIEWER, ADMIN, OWNER}),
    (Permission.SEE_PEOPLE, {VIEWER, ADMIN, OWNER}),
    (Permission.SEE_KEYS, {VIEWER, ADMIN, OWNER}),
    (Permission.SEE_AUDIT, {ADMIN, OWNER}),
    (Permission.RECORD, {VIEWER, ADMIN, OWNER}),
    (Permission.EDIT_DASHBOARDS, {ADMIN, OWNER}),
    (Permission.MANAGE_MONITORS, {ADMIN, OWNER}),
    (Permission.MANAGE_CHANNELS, {ADMIN, OWNER}),
    (Permission.SILENCE, {ADMIN, OWNER}),
    (Permission.ACKNOWLEDGE, {VIEWER, ADMIN, OWNER}),
    (Permission.EDIT_CONDITIONS, {ADMIN, OWNER}),
    (Permission.MANAGE_KEYS, {ADMIN, OWNER}),
    (Permission.MANAGE_NODES, {ADMIN, OWNER}),
    (Permission.INVITE, {ADMIN, OWNER}),
    (Permission.MANAGE_PEOPLE, {ADMIN, OWNER}),
    (Permission.CONFIGURE, {ADMIN, OWNER}),
    (Permission.MANAGE_OWNERS, {OWNER}),
    (Permission.DELETE_ACCOUNT, {OWNER}),
]


@pytest.mark.parametrize(("permission", "allowed"), TABLE, ids=[permission.name for permission, _ in TABLE])
def test_who_may(permission: Permission, allowed: set[Role]) -> None:
    assert {role for role in Role if may(role, permission)} == allowed


def test_every_permission_has_its_row() -> None:
    assert {permission for permission, _ in TABLE} == set(Permission)


def test_a_refusal_says_what_and_whom_to_ask() -> None:
    with pytest.raises(Forbidden) as refused:
        require(VIEWER, Permission.INVITE)
    assert refused.value.detail == "As viewer you may not invite people; ask an owner or admin of the account"
    require(ADMIN, Permission.INVITE)
