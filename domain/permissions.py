"""What people may do in an account: one table, from permission to the least role that has it."""

from enum import StrEnum

from domain.accounts import Role
from domain.errors import Forbidden

RANK = {Role.VIEWER: 0, Role.ADMIN: 1, Role.OWNER: 2}


class Permission(StrEnum):
    """Something a person may do, worded to complete "you may not …"."""

    READ = "see this account"
    SEE_PEOPLE = "see who belongs to this account"
    SEE_KEYS = "see this account's API keys"
    SEE_AUDIT = "read the audit log"
    RECORD = "keep a live view"
    EDIT_DASHBOARDS = "make, change or share dashboards"
    MANAGE_MONITORS = "write, try, push or remove monitors"
    MANAGE_CHANNELS = "make, change or test channels and routes"
    SILENCE = "silence notices"
    ACKNOWLEDGE = "say that you are on it"
    EDIT_CONDITIONS = "make, change, pause or delete conditions"
    MANAGE_KEYS = "make or revoke API keys"
    MANAGE_NODES = "remove nodes"
    INVITE = "invite people"
    MANAGE_PEOPLE = "change roles or remove people"
    CONFIGURE = "change this account's settings"
    MANAGE_OWNERS = "make or remove owners"
    DELETE_ACCOUNT = "delete this account"


LEAST: dict[Permission, Role] = {
    Permission.READ: Role.VIEWER,
    Permission.SEE_PEOPLE: Role.VIEWER,
    Permission.SEE_KEYS: Role.VIEWER,
    Permission.SEE_AUDIT: Role.ADMIN,
    Permission.RECORD: Role.VIEWER,
    Permission.EDIT_DASHBOARDS: Role.ADMIN,
    Permission.MANAGE_MONITORS: Role.ADMIN,
    Permission.MANAGE_CHANNELS: Role.ADMIN,
    Permission.SILENCE: Role.ADMIN,
    Permission.ACKNOWLEDGE: Role.VIEWER,
    Permission.EDIT_CONDITIONS: Role.ADMIN,
    Permission.MANAGE_KEYS: Role.ADMIN,
    Permission.MANAGE_NODES: Role.ADMIN,
    Permission.INVITE: Role.ADMIN,
    Permission.MANAGE_PEOPLE: Role.ADMIN,
    Permission.CONFIGURE: Role.ADMIN,
    Permission.MANAGE_OWNERS: Role.OWNER,
    Permission.DELETE_ACCOUNT: Role.OWNER,
}


def may(role: Role, permission: Permission) -> bool:
    """Whether a role has a permission."""
    return RANK[role] >= RANK[LEAST[permission]]


def require(role: Role, permission: Permission) -> None:
    """Raises Forbidden, with who may, unless the role has the permission."""
    if not may(role, permission):
        least = LEAST[permission]
        who = "an owner" if least == Role.OWNER else f"an owner or {least.value}"
        raise Forbidden(f"As {role.value} you may not {permission.value}; ask {who} of the account")


def to_grant(before: Role | None, after: Role | None) -> Permission:
    """What it takes to give someone another role, to let them in (before None) or to take them out (after None)."""
    if Role.OWNER in (before, after):
        return Permission.MANAGE_OWNERS
    return Permission.INVITE if before is None else Permission.MANAGE_PEOPLE
