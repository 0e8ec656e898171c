"""What agents and programs report of how something is: names, levels, messages. Checked here, judged as conditions."""

from typing import Annotated, Final

import msgspec

from domain import series_key, snapshots
from domain.condition_specs import NAME_MAX, Level, ReportedRule, Spec
from domain.errors import InvalidBody, MalformedBody
from domain.evaluation import Group, group
from domain.query import NODE
from domain.series_key import InvalidKey

STATUSES_MAX: Final = 100
MESSAGE_MAX_CHARS: Final = 500
LABELS_MAX: Final = 8


class Said(msgspec.Struct):
    """How one thing is."""

    name: Annotated[str, msgspec.Meta(max_length=NAME_MAX)]
    state: Level
    message: Annotated[str, msgspec.Meta(max_length=MESSAGE_MAX_CHARS)] = ""
    labels: dict[str, str] = {}


class Post(msgspec.Struct):
    """The body of a post: what a node says, the latest word on each name and labels."""

    node: str
    statuses: Annotated[list[Said], msgspec.Meta(max_length=STATUSES_MAX)]


_decode = msgspec.json.Decoder(Post).decode


def parse(body: bytes) -> Post:
    """A checked post. Raises MalformedBody, InvalidBody."""
    try:
        post = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"the statuses have the wrong shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"the body is not JSON: {error}", offset=0) from error
    try:
        snapshots.check_node(post.node)
        for said in post.statuses:
            check(said)
    except InvalidKey as error:
        raise InvalidBody(str(error)) from error
    return post


def check(said: Said) -> None:
    """Raises InvalidBody or InvalidKey unless it can be kept."""
    said.name = " ".join(said.name.split())
    said.message = " ".join(said.message.split())
    if not said.name or not said.name.isprintable() or "\x00" in said.message:
        raise InvalidBody("a status has a name in one line, and a message without U+0000")
    if len(said.labels) > LABELS_MAX or NODE in said.labels:
        raise InvalidBody(f"a status has at most {LABELS_MAX} labels, and `{NODE}` is none of them")
    series_key.check_labels(said.labels)


def group_of(node: str, said: Said) -> Group:
    """Whose status it is, within the condition of that name."""
    return group({NODE: node, **said.labels})


def spec_for(name: str) -> Spec:
    """The policy of a status nobody has given one yet: it fires at once, and at once no more."""
    return Spec(ReportedRule(name), no_data_after_s=3_600)
