"""A lock that long work hands on between its slices: in order, to one at a time, and never lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from model.turns import Turns, rest


def test_one_at_a_time_and_whoever_waits_longest_first() -> None:
    turns, order, inside = Turns(), [], [0, 0]

    def enter(who: int) -> None:
        with turns.held():
            inside[0] += 1
            inside[1] = max(inside)
            order.append(who)
            time.sleep(0.01)
            inside[0] -= 1

    with turns.held():
        threads = []
        for who in range(5):
            threads.append(threading.Thread(target=enter, args=(who,)))
            threads[-1].start()
            time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert inside == [0, 1]


def test_who_waits_goes_between_two_slices() -> None:
    turns, slices, waited = Turns(), 40, []
    started = threading.Event()

    def long_work() -> float:
        begun = time.monotonic()
        with turns.held():
            for _ in range(slices):
                started.set()
                time.sleep(0.02)
                rest()
        return time.monotonic() - begun

    def bystander() -> None:
        started.wait()
        for _ in range(5):
            begun = time.monotonic()
            with turns.held():
                waited.append(time.monotonic() - begun)

    with ThreadPoolExecutor(2) as pool:
        work, other = pool.submit(long_work), pool.submit(bystander)
        other.result(10)
        assert not work.done()
        work.result(10)
    assert max(waited) < 0.4  # the whole work takes 0.8 s


def test_inside_itself_it_does_nothing_and_outside_there_is_nothing_to_rest() -> None:
    turns = Turns()
    rest()
    with turns.held(), turns.held():
        rest()
    with turns.held():
        pass


def test_a_turn_is_not_lost_with_an_error() -> None:
    turns = Turns()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), turns.held():
            raise ZeroDivisionError
    with turns.held():
        pass
