"""Every knob of the platform, one class."""

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.egress import parse_allowed


class Settings(BaseSettings):
    """Every knob of the platform. Read once, where a process starts; passed on, never imported."""

    model_config = SettingsConfigDict(env_prefix="METRIST_", env_file=".env", extra="ignore")

    # stores
    clickhouse_url: SecretStr = Field(
        SecretStr("http://metrist:metrist@127.0.0.1:8123/default"),
        description="http(s)://user:password@host:port/database of ClickHouse or of `metrist engine`",
    )
    clickhouse_cluster: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_-]*$",
        description="Name of the cluster, as ClickHouse's `remote_servers` has it, that the tables are spread over",
    )
    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="redis(s)://:password@host:port/db")
    database_url: SecretStr = Field(
        SecretStr("sqlite:///metrist.db"),
        description="Control DB: sqlite:///FILE or postgresql://user:password@host/database",
    )

    # api
    host: str = Field("127.0.0.1", description="Address the API and pages listen on")
    port: int = Field(8600, ge=0, le=65535, description="Port the API and pages listen on")
    public_url: str = Field("", description="Address people and agents use, when it differs from host and port")
    trusted_proxies: str = Field(
        "127.0.0.1, ::1",
        description="Addresses and networks of proxies before the API; only what they say in X-Forwarded-For and "
        "X-Forwarded-Proto counts",
    )

    # ingest
    spool_dir: Path = Field(
        Path("spool"), description="Folder of acknowledged snapshots that are not yet in ClickHouse"
    )
    spool_max_bytes: int = Field(
        4_294_967_296, gt=0, description="A fuller spool answers 503 until ClickHouse catches up"
    )
    disk_reserve_bytes: int = Field(
        268_435_456,
        ge=0,
        description="Snapshots are refused with 507 while the disk of the spool, or ClickHouse's own, has less free; "
        "taken again with a quarter more",
    )
    ingest_ack: Literal["spooled", "stored"] = Field(
        "spooled", description="When a 2xx is sent: after fdatasync to the spool, or only after the INSERT"
    )
    insert_interval_s: float = Field(1.0, gt=0, description="How often spooled snapshots are inserted, at the latest")
    insert_max_samples: int = Field(
        1_000_000, gt=0, description="A spool segment of this many samples is inserted at once"
    )
    body_max_bytes: int = Field(16_777_216, gt=0, description="Larger bodies get 413, measured after decompression")
    batch_memory_s: int = Field(21_600, gt=0, description="A batch that is sent again within this time counts once")
    snapshot_future_s: int = Field(600, gt=0, description="Samples further in the future are refused")

    # retention
    raw_retention_days: int = Field(30, gt=0, le=10_000, description="How long single samples are kept")
    minute_retention_days: int = Field(400, gt=0, le=10_000, description="How long the 1m rollup is kept")
    hour_retention_days: int = Field(
        1_830, gt=0, le=10_000, description="How long the 1h rollup is kept; older samples are refused"
    )

    series_budget: int = Field(
        5_000_000, gt=0, description="No monitor is rolled out further that would bring an account above so many series"
    )

    # nodes
    ping_interval_s: int = Field(10, gt=0, description="How often agents are asked to ping")
    late_after_pings: int = Field(3, gt=0, description="Missed pings after which a node is late")
    offline_after_pings: int = Field(10, gt=0, description="Missed pings after which a node is offline")
    deregister_after_s: int = Field(14_400, gt=0, description="Silence after which a node is deregistered")
    grace_s: int = Field(
        60, gt=0, description="After a start nobody is demoted for so long, at least; agents reconnect meanwhile"
    )
    ping_max_wait_s: int = Field(55, gt=0, description="Longest long poll of a ping")

    # sign-in
    session_idle_days: int = Field(14, gt=0, description="A session unused for so long ends")
    session_max_days: int = Field(90, gt=0, description="A session ends after so long in any case")
    sign_in_link_minutes: int = Field(60, gt=0, description="A one-time sign-in link works for so long")
    sign_up: Literal["open", "invited", "closed"] = Field(
        "open", description="Who becomes a user by signing in through a provider: anyone, who has an invitation, nobody"
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Signs what a browser keeps while it signs in; made once, in the control DB, when empty",
    )
    github_client_id: str = Field("", description="Client ID of the OAuth app at GitHub; shows its button")
    github_client_secret: SecretStr = Field(
        SecretStr(""), description="Client secret of the OAuth app at GitHub", validate_default=True
    )
    github_url: str = Field("https://github.com", description="Address of GitHub, or of a GitHub Enterprise Server")
    oidc_issuer: str = Field(
        "", description="Issuer of an OpenID Connect provider, as its discovery document names it; shows its button"
    )
    oidc_client_id: str = Field("", description="Client ID at the OpenID Connect provider", validate_default=True)
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="Client secret at the OpenID Connect provider", validate_default=True
    )
    oidc_name: str = Field("single sign-on", description="What the provider's button calls it: Continue with …")

    # notices
    egress_allow: str = Field(
        "",
        description="Where webhooks may go besides the public Internet: networks, addresses, names, *.names",
    )
    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="Server for e-mails: smtp://user:password@host:587 with STARTTLS, smtps://…:465 with TLS from the "
        "start, ?tls=none for neither; empty: no e-mails are sent",
    )
    smtp_from: str = Field("Metrist <metrist@localhost>", description="Sender of e-mails")
    mails_per_hour: int = Field(120, gt=0, description="Most e-mails an hour for one account; the others wait")

    # itself
    backup_dir: Path | None = Field(
        None, description="Where `metrist backup` puts backups: `metrist doctor` looks whether there is one of late"
    )
    own_figures: bool = Field(
        True, description="Report Metrist's figures as samples of the account “Metrist itself”, which operators own"
    )
    operators: str = Field(
        "", description="E-mail addresses of who operates this platform; empty: who owns its oldest account"
    )
    metrics_token: SecretStr = Field(
        SecretStr(""),
        description="Who sends it as a bearer token may read /metrics; without one only this machine itself may",
    )

    # releases
    release_source: str = Field(
        "", description="Where new releases are looked for: a folder or an http(s) address that has index.json"
    )
    release_keys: str = Field(
        "", description="Public keys, with spaces between, of those whose releases may be installed"
    )
    release_libraries: str = Field(
        "index",
        description="Where the libraries of a release come from: `index` (pip's own), `shared` (those of the running "
        "release), or a folder of wheels",
    )
    release_watch_s: int = Field(60, gt=0, description="A new release that does not run well for so long is taken back")
    releases_dir: Path = Field(
        Path("releases"), description="Folder of installed releases; `metrist up` has it in its data directory"
    )

    # logs
    log_format: Literal["json", "console"] = Field("console", description="json for machines, console for people")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")

    @field_validator("egress_allow")
    @classmethod
    def _readable(cls, value: str) -> str:
        """Raises ValueError for what is no list of networks and names."""
        parse_allowed(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        """Raises ValueError for what is no address and no network: such an entry would silently trust nobody."""
        for entry in filter(None, (part.strip() for part in value.split(","))):
            ipaddress.ip_network(entry)
        return value

    @field_validator("github_client_secret", "oidc_client_id", "oidc_client_secret")
    @classmethod
    def _complete(cls, value: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
        """Half a provider is none: its button would lead nowhere."""
        first = "github_client_id" if info.field_name == "github_client_secret" else "oidc_issuer"
        if info.data.get(first) and not value:
            raise ValueError(f"must be set, too, since METRIST_{first.upper()} is")
        return value

    @property
    def base_url(self) -> str:
        """The address to show to people, without a slash at its end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://[{shown}]:{self.port}" if ":" in shown else f"http://{shown}:{self.port}"
