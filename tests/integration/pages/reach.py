"""What an intruder may have got hold of, by the name of a parameter and by the route of a body.

Who adds a route names here what its parameters are called: first what is the victim's, then what reaches for more.
"""

import json
import time
from typing import Any

from dashboards.download import wheel_name
from dashboards.static import release_of
from domain.dashboards import as_json, new
from tests.integration.pages.victim import GUESSED, Victim


class Values(dict[str, list[str]]):
    """A name nobody has thought of gets the victim's node, and one test says that it is missing."""

    def __missing__(self, name: str) -> list[str]:
        return self["node"]


class Bodies(dict[str, list[Any]]):
    """As `Values`, for what is posted."""

    def __missing__(self, path: str) -> list[Any]:
        return [{"node": self["/api/v1/ping"][0]["node"]}]


def values(victim: Victim) -> Values:
    """By the name of a parameter."""
    ids, node, metric = victim.ids, victim.node, victim.metric
    soon = str(int(time.time()) + 60)
    return Values(
        {
            "account": [ids["account"]],
            "act": ["save", "push"],
            "address": ["x@example.org"],
            "back": ["condition", ""],
            "before": ["1", "99999999"],
            "before_ms": ["", "99999999999999"],
            "begins": ["22:00"],
            "body": ["metrist"],
            "capability": ["http"],
            "channel": [ids["channel_id"]],
            "channel_id": [ids["channel_id"]],
            "command": [ids["command"]],
            "condition_id": [ids["condition_id"]],
            "continues": ["1"],
            "count": ["1"],
            "cpu_ms": ["1000"],
            "delivery_id": [ids["delivery_id"]],
            "ends": ["23:00"],
            "escapes": ["json"],
            "group": [ids["group"]],
            "group_by": ["node"],
            "head": ["", "1"],
            "headers": [""],
            "interval_s": ["60"],
            "known": [ids["channel_id"]],
            "labels": ["a=b"],
            "memory_mb": ["32", str(2**70)],
            "nodes": [node, "*"],
            "number": ["1", "2", str(2**70)],
            "on": ["1", ""],
            "parameters": ["a=1"],
            "repeat_s": ["3600", str(2**70)],
            "route_id": [ids["route_id"]],
            "sealed": ["key: 1", ""],
            "script": ["log('a')", "log("],
            "silence_id": [ids["silence_id"]],
            "start": ["empty"],
            "starts": [""],
            "template": ["{{ headline }}"],
            "timeout_s": ["10", str(2**70)],
            "until": ["2027-01-01T00:00"],
            "up": ["1", ""],
            "url": ["https://hooks.example.org/"],
            "wait_s": ["10", str(2**70)],
            "zone": ["UTC"],
            "actor": [f"user/{ids['owner_id']}", f"node/{ids['node_id']}", "system"],
            "across": ["avg", "none"],
            "after": ["0-0,0-0", "0-0"],
            "agg": ["avg", "max"],
            "below": ["1", "100", "99999999", str(2**70)],
            "connect": ["1", ""],
            "dashboard_id": [ids["dashboard_id"]],
            "dashboard": [ids["dashboard_id"], ""],
            "days": ["", "7", str(2**70)],
            "every_ms": ["1000", str(2**70)],
            "file": ["x"],
            "fixed": [f"node={node}"],
            "form": ["points", "grid"],
            "from": ["now-1h", "0", "2026-01-01"],
            "graph": [f"A={metric}"],
            "hours": ["4", str(2**70)],
            "instance": ["i1", victim.ids["node_id"]],
            "invitation_id": [ids["invitation_id"]],
            "key_id": [ids["key_id"]],
            "kind": ["", "node", "account", "api_key"],
            "label": ["node", "disk", f"{GUESSED}"],
            "limit": ["100", str(2**70)],
            "listed_id": [ids["listed_id"]],
            "match": [f'disk="{GUESSED}"', "disk=~.*", "disk!=x"],
            "metric": [metric, "*", f"{GUESSED}*", f"{metric}{{*}}"],
            "minutes": ["10", str(2**70)],
            "name": [node, victim.monitor, "*", ids["node_id"], f"{node}/..", "base.css", wheel_name()],
            "new": ["a title"],
            "next": ["/nodes", "//evil.example"],
            "node": [node, "*", f"{GUESSED}*", ""],
            "note": ["a note"],
            "of": [node],
            "older_than": ["2", "99999999"],
            "page": ["1", "2", "999", str(2**70)],
            "part": ["history", "notices", "header", "state"],
            "points": ["100", str(2**70)],
            "provider": ["github", "oidc"],
            "q": [GUESSED, "", "*", f"{GUESSED}=*"],
            "recording_id": [ids["recording_id"]],
            "release": [release_of("base.css")],
            "revision": ["1", "2", str(2**70)],
            "role": ["viewer", "owner"],
            "said": ["renamed"],
            "samples": ["on"],
            "scope": ["read"],
            "share_id": [ids["share_id"]],
            "sort": ["name", "-name", "state"],
            "state": ["", "online", "late"],
            "step": ["60", str(2**70)],
            "text": [json.dumps(as_json(new("x")))],
            "title": ["a title"],
            "to": ["now", ids["user_id"], "2027-01-01", soon],
            "token": ["x" * 43],
            "version": ["1", "2", str(2**70)],
            "user_id": [ids["user_id"], ids["owner_id"]],
        }
    )


def bodies(victim: Victim) -> Bodies:
    """By the path of a route that reads its body itself."""
    node, metrics = victim.node, {victim.metric: 1.0}
    asked = {"id": "A", "metric": victim.metric}
    finished = [{"id": victim.ids["node_id"].replace("-", ""), "state": "done"}]
    return Bodies(
        {
            "/api/v1/ping": [{"node": node, "finished": finished}, {"node": "*"}, {"node": victim.ids["node_id"]}],
            "/api/v1/snapshots": [{"node": node, "metrics": metrics, "account": victim.ids["account"]}],
            "/api/v1/dashboards/{dashboard_id}": [{"version": 1, "document": as_json(new("x"))}],
            "/api/v1/dashboards/{dashboard_id}/query": [{"panel": "graph"}, {"graph": {"queries": [asked]}}],
            "/api/v1/dashboards/{dashboard_id}/values": [
                {"variable": "node"},
                {"label": "node", "metrics": [victim.metric]},
            ],
            "/api/v1/shared/{token}/query": [{"panel": "graph"}, {"graph": {"queries": [asked]}}],
            "/api/v1/shared/{token}/values": [{"variable": "node"}, {"label": "node", "metrics": [victim.metric]}],
            "/api/v1/statuses": [{"node": node, "statuses": [{"name": "disk", "state": "critical"}]}],
            "/api/v1/monitors/runs": [
                [{"id": victim.ids["monitor_id"], "version": 1, "state": "ok", "at": time.time()}]
            ],
            "/api/v1/monitors/{name}": [{"spec": {"script": "gauge('x', 1)"}, "target": {"match": "*"}}],
            "/api/v1/monitors/{name}/pause": [{}],
            "/api/v1/monitors/{name}/push": [{}, {"version": 1}],
            "/api/v1/monitors/{name}/resume": [{}],
            "/api/v1/overlay": [{"nodes": [node], "metrics": [victim.metric]}, {"metrics": [victim.metric]}],
            "/api/v1/query": [{"graph": {"queries": [asked]}}, {"graph": {"queries": [asked | {"match": ["node=*"]}]}}],
            "/api/v1/query/sql": [{"graph": {"queries": [asked]}}],
            "/api/v1/live": [{"node": node, "snapshots": [{"ts": time.time(), "metrics": metrics}]}],
        }
    )
