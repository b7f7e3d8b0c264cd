"""Watchers are due at the samples that were asked for, however large a cycle is."""

from gansaku.runs.watchers import PASSES, paced, sheet_moments
from gansaku.training.loop import at, every


def fired(due, batch, length):
    return [seen for seen in range(batch, length + 1, batch) if due(seen - batch, seen)]


def test_every_fires_once_each_time_so_many_more_were_seen():
    assert fired(every(100), 10, 300) == [100, 200, 300]
    assert fired(every(100), 64, 320) == [128, 256, 320]
    assert fired(every(10), 64, 192) == [64, 128, 192]


def test_at_fires_once_for_each_moment_that_a_cycle_passes():
    assert fired(at([1, 100, 130, 300]), 64, 320) == [64, 128, 192, 320]


def test_sheets_start_dense_at_the_articles_passes():
    count = 1000
    moments = sheet_moments(count, 60 * count)
    assert moments == [333, 1000, 2000, 3000, 5000, 10000, 15000, 20000, 40000, 60000]
    assert sheet_moments(count, 300 * count)[-4:] == [160_000, 200_000, 240_000, 280_000]


def test_a_run_of_few_passes_gets_their_share():
    moments = sheet_moments(1_000_000, 16_000)
    assert moments[-1] == 16_000
    assert len(moments) == len(PASSES)
    assert moments == sorted(moments)


def test_paced_lets_only_some_moments_through():
    now = [0.0]
    due = paced(lambda before, after: True, 10, clock=lambda: now[0])
    assert not due(0, 1)
    now[0] = 11
    assert due(1, 2)
    assert not due(2, 3)
    now[0] = 22
    assert due(3, 4)
