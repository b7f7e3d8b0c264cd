"""The log keeps every attempt and shows what stands."""

import sqlite3

import pytest

from gansaku.errors import RunError
from gansaku.runs import log


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.sqlite"


def attempt(path, start, rows):
    writer = log.Log(path)
    writer.begin(start)
    for seen, value in rows:
        writer.write(seen, {"loss": value, "other": -value})
    writer.close()


def test_numbers_come_back_in_order(path):
    attempt(path, 0, [(10, 1.5), (20, 0.1), (30, 2.0)])
    assert log.curve(path, "loss") == [(10, 1.5), (20, 0.1), (30, 2.0)]
    assert list(log.curves(path)) == ["loss", "other"]


def test_rows_that_a_continuation_overtook_are_hidden_and_not_deleted(path):
    attempt(path, 0, [(10, 1.0), (20, 2.0), (30, 3.0)])
    attempt(path, 20, [(30, 3.5), (40, 4.0)])
    assert log.curve(path, "loss") == [(10, 1.0), (20, 2.0), (30, 3.5), (40, 4.0)]
    attempt(path, 10, [(20, 2.5)])
    assert log.curve(path, "loss") == [(10, 1.0), (20, 2.5)]
    assert log.attempts(path) == 3
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from numbers where name = 'loss'").fetchone() == (6,)


def test_a_reader_is_not_kept_waiting_by_an_open_writer(path):
    writer = log.Log(path)
    writer.begin(0)
    writer.write(5, {"loss": 1.0})
    assert log.curve(path, "loss") == [(5, 1.0)]
    writer.write(6, {"loss": 2.0})
    assert log.curve(path, "loss") == [(5, 1.0), (6, 2.0)]
    writer.close()


def test_events_are_kept_in_order(path):
    writer = log.Log(path)
    writer.begin(0)
    writer.event(5, "stopped", "a sentence")
    writer.event(6, "continued", "another")
    writer.close()
    assert [event[:3] for event in log.events(path)] == [(5, "stopped", "a sentence"), (6, "continued", "another")]


def test_no_log_is_an_empty_one_and_a_damaged_one_is_named(path):
    assert log.curve(path, "loss") == []
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(RunError, match=r"log\.sqlite"):
        log.curve(path, "loss")
