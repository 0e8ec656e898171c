"""What a script can call, as the editor shows it beside the script."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One function or value: how it is written, what it does, and the capability it takes."""

    call: str
    does: str
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    entries: tuple[Entry, ...]


REFERENCE = (
    Section(
        "Say",
        (
            Entry('gauge("name", 1.5, {part = "a"})', "A sample. Labels may be left out."),
            Entry('counter("name", 10)', "A count that only rises; its rate a second is kept."),
            Entry('status("name", "ok", "all is well")', "How something is: ok, warning, critical or unknown."),
            Entry('log("text")', "A line that this page shows with the last run."),
        ),
    ),
    Section(
        "Read",
        (
            Entry(
                'param("name")',
                "One of the parameters beside the script, of its declared type; param(name, default) may lack it.",
            ),
            Entry('series("disk.used_percent")', "What the agent measured last: a list of {labels, value}."),
            Entry("facts.node, facts.labels.env", "Who runs this; also facts.time, facts.metrics."),
            Entry('processes("nginx")', "How many processes have that name."),
            Entry("json.decode(text)", "A value from JSON; else nil and why."),
        ),
    ),
    Section(
        "Reach out",
        (
            Entry('http.get {url = "…", timeout = 5}', "{status, headers, body, took_ms}; else nil and why.", "http"),
            Entry("tcp.check(host, port, 3)", "Milliseconds to connect; else nil and why.", "tcp"),
            Entry("tls.expiry(host, 443)", "{expires_in_s, expires_at, trusted}; else nil and why.", "tcp"),
            Entry('file.stat("/path")', "{kind, size, modified_at, age_s}; else nil and why.", "file"),
            Entry('file.tail("/path", {lines = 10})', "{lines}; {since_last = true} gives only new ones.", "file"),
            Entry('exec.run("name")', "{code, output}: a command that the node's owner allows.", "exec"),
        ),
    ),
    Section(
        "Lua 5.4",
        (
            Entry("string  table  math  utf8", "All that computes. Nothing loads code, opens files or waits."),
            Entry("pcall  error  assert  select …", "As usual; an error ends the run, which then has failed."),
        ),
    ),
)
