"""What goes out together, and what is left when part of it is out of date."""

from schema.outbox import AT_ONCE
from tests.notices import NOW, SECOND, House, a_fire, its_end
from tests.sending import claim, finish, fleet, house, route

__all__ = ["house"]


def test_a_group_goes_out_as_one_message(house: House) -> None:
    house.webhook()
    fires = fleet(5)
    house.owe(*fires)
    claimed = claim(house, NOW + SECOND)
    assert claimed and len(claimed.ids) == 5 and claimed.group == {"condition": "CPU"}
    finish(house, claimed, NOW + SECOND, "answered 500")
    house.owe(*fleet(1), now=NOW + 2 * SECOND)
    late = claim(house, NOW + 3 * SECOND)
    assert late and len(late.ids) == 1, "what was tried stays what it was"
    again = claim(house, NOW + 10 * SECOND)
    assert again and (again.message_id, again.ids) == (claimed.message_id, claimed.ids)
    assert {attempt.delivery_id for attempt in house.attempts()} == set(claimed.ids)


def test_what_is_left_of_a_message_is_another_message(house: House) -> None:
    house.webhook()
    fires = fleet(3)
    house.owe(*fires)
    first = claim(house, NOW + SECOND)
    finish(house, first, NOW + SECOND, "answered 500")
    house.owe(its_end(fires[0]), now=NOW + 2 * SECOND)
    end = claim(house, NOW + 2 * SECOND)
    assert end and [one.kind for one in end.notices] == ["resolved"]
    rest = claim(house, NOW + 10 * SECOND)
    assert rest and first and len(rest.ids) == 2 and rest.message_id != first.message_id


def test_groups_are_made_by_labels(house: House) -> None:
    hook = house.webhook()
    route(house, hook.id, group_by=("node",))
    house.owe(*fleet(2), *fleet(2))
    sizes = []
    while claimed := claim(house, NOW):
        sizes.append((claimed.group["node"], len(claimed.ids)))
        finish(house, claimed, NOW)
    assert sorted(sizes) == [("web-0", 2), ("web-1", 2)]


def test_a_large_group_goes_out_in_parts(house: House) -> None:
    house.webhook()
    house.owe(*fleet(250))
    sizes = []
    while claimed := claim(house, NOW + SECOND):
        sizes.append(len(claimed.ids))
        finish(house, claimed, NOW + SECOND)
    assert sizes == [100, 100, 50]


def test_a_slow_channel_holds_up_only_itself(house: House) -> None:
    slow, fast = house.webhook(), house.webhook()
    route(house, slow.id, group_by=("node",), continues=True)
    house.owe(*fleet(AT_ONCE + 3))
    held = [claim(house, NOW) for _ in range(AT_ONCE)]
    assert all(held) and claim(house, NOW) is None
    route(house, fast.id)
    house.owe(a_fire(), now=NOW + SECOND)
    other = claim(house, NOW + SECOND)
    assert other and other.channel.id == fast.id
