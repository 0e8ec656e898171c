"""`metrist migrate`: the tables of ClickHouse and of the control DB."""

import argparse
from contextlib import closing
from importlib.metadata import version
from importlib.resources import files

from domain.errors import StartRefused
from domain.settings import Settings
from metrist import logs
from metrist.environment import read_settings
from metrist.reach import refuse_unreachable
from metrist.releases.shelf import Shelf
from schema import migrate as clickhouse_migrate
from schema.clickhouse_client import open_clickhouse
from schema.clones import Clones
from schema.control import migrate as control_migrate
from schema.control.engine import open_control


def run(options: argparse.Namespace) -> None:
    """Run what is missing, or with --check only tell. Raises StartRefused."""
    settings = read_settings()
    logs.configure(settings)
    refuse_unreachable(settings, "clickhouse_url", "database_url")
    if options.check:
        _check(settings)
    else:
        _upgrade(settings, again=options.again)


def _upgrade(settings: Settings, *, again: bool) -> None:
    control = open_control(settings.database_url.get_secret_value())
    or_newer = Shelf(settings.releases_dir).may_run_on_newer(version("metrist"))
    revision = control_migrate.upgrade(control, or_newer=or_newer)
    control.dispose()
    with closing(open_clickhouse(settings)) as clickhouse:
        ran = clickhouse_migrate.upgrade(clickhouse, settings, or_newer=or_newer, again=again)
        if not settings.clickhouse_cluster:
            Clones(clickhouse).drop_forgotten()
    print(f"Control DB at {revision}; ClickHouse: {', '.join(ran) or 'nothing to do'}")


def _check(settings: Settings) -> None:
    """The stores have every migration, and migrations from nothing give exactly what `current.sql` says."""
    control_migrate.check(open_control(settings.database_url.get_secret_value()))
    url = settings.clickhouse_url.get_secret_value()
    with closing(open_clickhouse(settings)) as clickhouse:
        clickhouse_migrate.check(clickhouse)
    if clickhouse_migrate.build_and_describe(url, settings) != _current():
        raise StartRefused("schema/clickhouse/current.sql is not what the migrations build")
    print("Control DB and ClickHouse are up to date")


def _current() -> str:
    return files("schema").joinpath("clickhouse", "current.sql").read_text("utf-8")
