"""A lock that long work hands on between its slices: in order, to one at a time, and never lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from model.turns import GivenUp, Turns, holds_turn, rest, rest_in_slices, slices, watched


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
            while len(turns._long) <= who:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert inside == [0, 1]


def test_short_work_goes_between_two_slices_of_long_work() -> None:
    turns, entered = Turns(), list[int]()
    started, over = threading.Event(), threading.Event()

    def long_work() -> None:
        with turns.held():
            while not over.is_set():  # it ends only once the others were in between
                started.set()
                time.sleep(0.005)
                rest()

    def bystander() -> None:
        started.wait()
        for turn in range(5):
            with turns.held(short=True):
                entered.append(turn)

    with ThreadPoolExecutor(2) as pool:
        work, other = pool.submit(long_work), pool.submit(bystander)
        try:
            other.result(60)
        finally:
            over.set()
        work.result(60)
    assert entered == list(range(5))


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


@pytest.mark.parametrize("everyone", [False, True])
def test_long_work_waits_for_long_work_unless_that_takes_minutes(everyone: bool) -> None:
    turns, order = Turns(), []
    started = threading.Event()

    def first() -> None:
        with turns.held():
            started.set()
            while not turns._long:
                time.sleep(0.001)
            for _ in range(3):
                order.append("first")
                rest(everyone)

    def other() -> None:
        started.wait()
        with turns.held():
            order.append("other")

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(first), pool.submit(other)]:
            one.result(10)
    assert order == (["first", "other", "first", "first"] if everyone else ["first"] * 3 + ["other"])


def test_interrupted_work_goes_on_before_other_long_work_begins() -> None:
    turns, order = Turns(), []

    def work(name: str, short: bool) -> None:
        with turns.held(short):
            order.append(name)

    pool = ThreadPoolExecutor(3)
    with turns.held():
        threads = [pool.submit(work, "long", False), pool.submit(work, "short", True)]
        while not (turns._long and turns._short):
            time.sleep(0.001)
        with slices():
            rest_in_slices()
        order.append("interrupted")
        rest_in_slices()  # not in slices: nobody goes
    for one in threads:
        one.result(10)
    assert order == ["short", "interrupted", "long"]


def test_of_two_turns_the_outer_one_is_not_entered_again() -> None:
    outer, inner = Turns(), Turns()
    assert not holds_turn()
    with outer.held(), inner.held(), outer.held():
        assert holds_turn()
        rest()
    assert not holds_turn()
    with outer.held(), inner.held():
        pass


def test_a_wait_ends_where_the_watcher_says_so_and_the_turn_is_not_lost() -> None:
    turns = Turns()

    def give_up(waits: bool) -> None:
        assert waits
        raise GivenUp

    def wait() -> None:
        with watched(give_up), pytest.raises(GivenUp), turns.held():
            raise AssertionError("it had the turn")

    with ThreadPoolExecutor(1) as pool:
        with turns.held():
            pool.submit(wait).result(60)
            assert not turns._long
        pool.submit(wait_for_it, turns).result(60)


def wait_for_it(turns: Turns) -> None:
    with turns.held():
        pass


def test_work_ends_at_the_next_slice_and_its_turn_goes_to_who_waits() -> None:
    turns, order = Turns(), []

    def give_up(waits: bool) -> None:
        while not turns._long:
            time.sleep(0.001)
        raise GivenUp

    def work() -> None:
        with watched(give_up), turns.held():
            started.set()
            order.append("begun")
            with slices():
                rest_in_slices()
            order.append("ended")

    started = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        long_work = pool.submit(work)
        started.wait(60)
        other = pool.submit(wait_for_it, turns)
        with pytest.raises(GivenUp):
            long_work.result(60)
        other.result(60)
    assert order == ["begun"]


def test_who_gives_up_while_others_are_in_between_takes_their_turn_from_nobody() -> None:
    turns, inside = Turns(), list[str]()
    entered, leave = threading.Event(), threading.Event()

    def give_up(waits: bool) -> None:
        if waits:
            raise GivenUp

    def long_work() -> None:
        with watched(give_up), turns.held():
            while not turns._short:
                time.sleep(0.001)
            rest()

    def bystander() -> None:
        with turns.held(short=True):
            inside.append("bystander")
            entered.set()
            assert leave.wait(60)
            inside.append("left")

    with ThreadPoolExecutor(3) as pool:
        work = pool.submit(long_work)
        other = pool.submit(bystander)
        with pytest.raises(GivenUp):
            work.result(60)
        assert entered.wait(60)
        last = pool.submit(lambda: (wait_for_it(turns), inside.append("last")))
        while not turns._long:
            time.sleep(0.001)
        leave.set()
        for one in (other, last):
            one.result(60)
    assert inside == ["bystander", "left", "last"]


def test_layers_are_slices_only_where_a_pass_is_said_to_be() -> None:
    looks = []
    with watched(looks.append):
        rest_in_slices()
        with slices():
            rest_in_slices()
        rest_in_slices()
    assert looks == [False]
