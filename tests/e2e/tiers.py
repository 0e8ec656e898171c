"""What ClickHouse holds in the end: raw samples and both rollups, counted and compared."""

import json

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from tests.e2e.platforms import Platform

ROLLUPS = (("samples_1m", "toStartOfMinute"), ("samples_1h", "toStartOfHour"))


def clickhouse(platform: Platform) -> Client:
    """A client of the platform's own engine."""
    password = json.loads((platform.data_dir / "passwords.json").read_text())["clickhouse"]
    port = json.loads((platform.data_dir / "ports.json").read_text())["clickhouse"]
    return clickhouse_connect.get_client(host="127.0.0.1", port=port, username="metrist", password=password)


def count(client: Client, what: str) -> int:
    return int(str(client.command(f"SELECT {what}")))


def instants(client: Client, metric: str) -> int:
    """How many different instants the series of a metric have, exactly; one metric at a time takes little memory."""
    each = f"SELECT uniqExact(ts) AS u FROM samples WHERE metric = '{metric}' GROUP BY node, labelset"
    return count(client, f"sum(u) FROM ({each})")


def all_differences(client: Client) -> list[tuple[object, ...]]:
    """Buckets in which a rollup is not what the raw samples say."""
    return [row for tier, bucket in ROLLUPS for row in differences(client, tier, bucket)]


def differences(client: Client, tier: str, bucket: str) -> list[tuple[object, ...]]:
    """Those of one rollup; of large values only so many digits of a sum do not depend on the order of its terms."""
    rows = client.query(
        f"""
        SELECT * FROM (
            SELECT metric, node, {bucket}(ts) AS b, count() AS n, sum(value) AS s, min(value) AS lo, max(value) AS hi
            FROM samples GROUP BY metric, node, b
        ) AS raw FULL OUTER JOIN (
            SELECT metric, node, ts AS b, sum(count) AS n, sum({tier}.sum) AS s, min({tier}.min) AS lo,
                max({tier}.max) AS hi
            FROM {tier} GROUP BY metric, node, b
        ) AS rolled USING (metric, node, b)
        WHERE raw.n != rolled.n OR abs(raw.s - rolled.s) > 1e-6 + 1e-12 * abs(raw.s)
            OR raw.lo != rolled.lo OR raw.hi != rolled.hi
        LIMIT 10
        """
    )
    return list(rows.result_rows)
