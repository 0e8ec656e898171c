"""Every key that Metrist keeps in Redis: name, type, what it holds, how long it lives.

`{…}` are braces in the name itself. They are Redis Cluster's hash tag: all keys of one account are in one slot, so a
script may take several of them. `<node>` is a node's name, which holds no braces.

| key                         | type   | holds                                                     | lives
|-----------------------------|--------|-----------------------------------------------------------|-----------------
| nodes:{<account>}           | hash   | node → MessagePack of `schema.heartbeats.Contact`         | till deregistered
| deadlines:{<account>}       | zset   | node, by the Unix ms when the sweep must look at it       | till deregistered
| queue:{<account>}:<node>    | zset   | ids of open commands, by the Unix ms they can be leased   | empty, or expiry
| commands:{<account>}:<node> | hash   | command id → MessagePack of `schema.commands.Stored`      | expiry and a day
| viewers:{<account>}:<node>  | hash   | viewer → MessagePack of its lease: what it looks at live  | last lease
| live:{<account>}:<node>     | string | JSON of `domain.live.Ask`: what the agent is to stream    | last lease
| recording:{<account>}:<node>| string | id of the recording that keeps the node's live data now   | its end
| {hearing}                   | hash   | `at`, `since`: till and since when we hear, Unix ms       | for ever
| {hearing}:outages           | zset   | "from-to" in Unix ms, by its end: when we heard nobody    | a week
| batch:{<account>}:<batch id>| string | "p" + who is storing it, "s" when it has been stored       | as settings say
| reports:{<account>}         | hash   | `schema.reports.Report.field` → MessagePack of the report | a day unsaid
| readings:{<account>}        | hash   | the same field → MessagePack of value and Unix ms         | an hour
| door:{<account>}:<outcome>  | stream | `entry`: JSON of `domain.door.Entry`; accepted or refused   | an hour
| late:{<account>}            | stream | `late`: JSON of `domain.lateness.Late`: what came late     | a day
| figures                     | hash   | process/host/pid → MessagePack of `schema.own_figures.Kept` | a minute unsaid
| audit:rollups               | hash   | how far the nightly audit of rollups is; what it found    | till the next
| alive:<process>             | string | Unix ms: a process's sign of life                         | ALIVE_S
| lease:<process>             | string | random token of the process that may work; others idle    | as its holder asks
| rq:…                        | RQ's   | jobs of the queues in QUEUES                              | as RQ rules
| runs:{<account>}:<monitor>  | hash   | node → MessagePack of `domain.monitor_runs.Record`        | a week
| trial:{<account>}:<n>:<id>  | string | MessagePack of a trial run's report; n node, id of command | 15 min
| key_revoked                 | pubsub | public id of an API key that works no more                |
| wake                        | pubsub | "<account> <node>": look whether this node has a command  |
| monitors_changed            | pubsub | id of an account: read anew what its nodes are to run     |
| live:<account>:<node>       | pubsub | JSON of `schema.live.Message`: live data for its viewers  |
| events:<account>            | pubsub | JSON {"type", "node", …}: what an open page shows changed |

Nothing a person made is only here: contacts come again with the next ping, deadlines are derived from the control DB,
and both kinds of command there are today are derived from a node's state.
"""

from domain.ids import AccountId

ALIVE_S = 15
"""A process without a sign of life for so long counts as dead."""
EVALUATE = "evaluate"
"""RQ queue of what is judged every few seconds."""
DELIVER = "deliver"
"""RQ queue that wakes whoever sends what is owed."""
UPKEEP = "upkeep"
"""RQ queue of what must be done now and then, and hurries nobody."""
QUEUES = (EVALUATE, DELIVER, UPKEEP)
"""All RQ queues, the most urgent first."""
FIGURES = "figures"
AUDIT = "audit:rollups"
HEARING = "{hearing}"
OUTAGES = "{hearing}:outages"
WAKE = "wake"
KEY_REVOKED = "key_revoked"
MONITORS_CHANGED = "monitors_changed"


def nodes(account_id: AccountId) -> str:
    return f"nodes:{{{account_id}}}"


def deadlines(account_id: AccountId) -> str:
    return f"deadlines:{{{account_id}}}"


def queue(account_id: AccountId, node: str) -> str:
    return f"queue:{{{account_id}}}:{node}"


def commands(account_id: AccountId, node: str) -> str:
    return f"commands:{{{account_id}}}:{node}"


def live_viewers(account_id: AccountId, node: str) -> str:
    return f"viewers:{{{account_id}}}:{node}"


def live_ask(account_id: AccountId, node: str) -> str:
    return f"live:{{{account_id}}}:{node}"


def recording(account_id: AccountId, node: str) -> str:
    return f"recording:{{{account_id}}}:{node}"


def monitor_runs(account_id: AccountId, monitor_id: str) -> str:
    return f"runs:{{{account_id}}}:{monitor_id}"


def trial(account_id: AccountId, node: str, command_id: str) -> str:
    return f"trial:{{{account_id}}}:{node}:{command_id}"


def live_channel(account_id: AccountId, node: str) -> str:
    return f"live:{account_id}:{node}"


def batch(account_id: AccountId | str, batch_id: str) -> str:
    return f"batch:{{{account_id}}}:{batch_id}"


def reports(account_id: AccountId) -> str:
    return f"reports:{{{account_id}}}"


def readings(account_id: AccountId) -> str:
    return f"readings:{{{account_id}}}"


def door(account_id: AccountId, outcome: str) -> str:
    """`outcome` is "accepted" or "refused"."""
    return f"door:{{{account_id}}}:{outcome}"


def lateness(account_id: AccountId) -> str:
    return f"late:{{{account_id}}}"


def process_alive(process: str) -> str:
    """`process` is "worker" or "scheduler"; the API answers /healthz instead."""
    return f"alive:{process}"


def lease(process: str) -> str:
    return f"lease:{process}"


def events_channel(account_id: AccountId) -> str:
    return f"events:{account_id}"
