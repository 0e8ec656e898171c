"""An account with an owner, an admin and a viewer, each signed in; for tests of what people may do on pages."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from domain.accounts import Role
from domain.ids import UserId
from schema import invitations, memberships, users
from tests.integration.pages.site import HTML, Site, Tenant, new_member, new_tenant

OURS = {"sec-fetch-site": "same-origin"}


@dataclass
class Company:
    """The account, and a browser for each role in it."""

    site: Site
    tenant: Tenant
    sessions: dict[Role, str] = field(default_factory=dict)

    @classmethod
    def found(cls, site: Site) -> "Company":
        tenant = new_tenant(site, f"company-{time.time_ns()}")
        return cls(site, tenant, {Role.OWNER: tenant.session})

    def browser(self, role: Role) -> httpx.Client:
        """As whom one looks; they join when they are first asked for."""
        if role not in self.sessions:
            self.sessions[role] = new_member(self.site, self.tenant, role)
        return self.site.client(self.sessions[role], **HTML, **OURS)

    def post(self, role: Role, path: str, /, **data: str) -> httpx.Response:
        with self.browser(role) as browser:
            return browser.post(path, data=data)

    def get(self, role: Role, path: str, /, **params: str) -> httpx.Response:
        with self.browser(role) as browser:
            return browser.get(path, params=params)

    def roles(self) -> dict[UserId, Role]:
        return {
            member.user_id: member.role for member in memberships.list_for(self.site.control, self.tenant.account_id)
        }

    def user(self, role: Role) -> UserId:
        """The one who has this role."""
        self.browser(role).close()
        return next(user_id for user_id, held in self.roles().items() if held == role)

    @property
    def owner(self) -> UserId:
        owner = users.find_by_email(self.site.control, self.tenant.email)
        assert owner
        return owner.id

    def invite(self, role: Role = Role.VIEWER, note: str = "") -> str:
        """The token of a new invitation."""
        now = datetime.now(UTC)
        return invitations.create(self.site.control, self.tenant.account_id, role, note, now, by=self.owner).token

    def waiting(self) -> list[str]:
        """Ids of the open invitations."""
        now = datetime.now(UTC)
        return [one.id for one in invitations.list_open(self.site.control, self.tenant.account_id, now)]


Fill = Callable[[Company], tuple[str, dict[str, str]]]
