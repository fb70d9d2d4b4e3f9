"""Events of a file that somebody else writes are each read once, however they come."""

import json

import pytest

from napari_segmoe.session.event_tail import EventTail


def line(number, **more):
    return json.dumps({"event": "epoch", "epoch": number, **more}) + "\n"


def numbers(told):
    return [event["epoch"] for event in told.events]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def test_a_file_that_is_not_there_yet_says_nothing(path):
    told = EventTail(path).read()
    assert (told.events, told.is_rewritten, told.is_all) == ((), False, True)


def test_what_was_there_before_is_read_first_and_then_what_comes(path):
    path.write_text(line(0) + line(1))
    tail = EventTail(path)
    assert numbers(tail.read()) == [0, 1]
    assert numbers(tail.read()) == []
    with path.open("a") as file:
        file.write(line(2))
    assert numbers(tail.read()) == [2]


def test_half_a_line_waits_for_its_other_half(path):
    whole = line(0)
    path.write_text(whole[:9])
    tail = EventTail(path)
    assert numbers(tail.read()) == []
    with path.open("a") as file:
        file.write(whole[9:] + line(1)[:-1])
    assert numbers(tail.read()) == [0]


def test_half_a_character_waits_too(path):
    whole = json.dumps({"event": "epoch", "epoch": 0, "note": "µm"}, ensure_ascii=False)
    raw = whole.encode() + b"\n"
    cut = raw.index("µ".encode()) + 1
    path.write_bytes(raw[:cut])
    tail = EventTail(path)
    assert numbers(tail.read()) == []
    path.write_bytes(raw)
    assert tail.read().events[0]["note"] == "µm"


def test_a_file_that_was_cut_is_read_from_its_start(path):
    path.write_text(line(0) + line(1) + line(2))
    tail = EventTail(path)
    tail.read()
    with path.open("r+") as file:
        file.truncate(len(line(0)))
    told = tail.read()
    assert told.is_rewritten
    assert numbers(told) == [0]


def test_a_file_that_was_replaced_by_a_longer_one_is_read_from_its_start(path):
    path.write_text(line(0) + line(1))
    tail = EventTail(path)
    tail.read()
    other = path.with_name("partial")
    other.write_text(line(0) + line(7) + line(8))
    other.replace(path)
    told = tail.read()
    assert told.is_rewritten
    assert numbers(told) == [0, 7, 8]


def test_a_file_that_was_rewritten_in_place_to_the_same_length_is_known_again(path):
    path.write_text(line(0) + line(1))
    tail = EventTail(path)
    tail.read()
    path.write_text(line(0) + line(5))
    assert numbers(tail.read()) == [0, 5]


def test_what_is_no_event_is_passed_over(path):
    path.write_text('{"epoch": 3}\n[1]\nnonsense\n\n' + line(1) + '{"event": 4}\n')
    assert numbers(EventTail(path).read()) == [1]


def test_a_large_file_is_read_in_parts(path):
    count = 20_000
    path.write_text("".join(line(n, pad="x" * 50) for n in range(count)))
    tail, found, rounds = EventTail(path), [], 0
    while True:
        told = tail.read()
        found += numbers(told)
        rounds += 1
        if told.is_all:
            break
    assert found == list(range(count))
    assert rounds > 1


def test_a_line_without_an_end_does_not_hold_up_the_rest(path):
    path.write_text("x" * (3 << 20) + "\n" + line(4))
    tail = EventTail(path)
    assert [n for _ in range(4) for n in numbers(tail.read())] == [4]
