"""Long texts on a shared server: one page or check of them at a time, and nobody with a short text waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from model.memory.keyed_traces import keep_turn, runs_held
from model.trace.edits import Edits
from model.trace.trace import Trace
from viz.frame import checks, server_state

TIMEOUT = 120  # seconds after which a test has failed, on however busy a machine


def long(first: str) -> str:
    return f"{first} " + "and the red car stopped near the old house " * 10


def cached(text: str) -> Trace:
    return server_state.cached_traces("en-fr", "cpu", (text,), (None,), Edits())[0]


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    server_state.drop_all()
    yield
    server_state.drop_all()


class Page:
    """The page of a long text in a thread of its own, which ends when it is told to."""

    def __init__(self, pool: ThreadPoolExecutor, text: str) -> None:
        self.drawn, self.over = threading.Event(), threading.Event()
        self.ended = pool.submit(self._run, text)

    def _run(self, text: str) -> None:
        with runs_held():
            cached(text)
            self.drawn.set()
            assert self.over.wait(TIMEOUT)

    def end(self) -> None:
        self.over.set()
        self.ended.result(TIMEOUT)


def test_a_page_of_a_long_text_waits_for_another_and_a_short_one_for_none() -> None:
    with ThreadPoolExecutor(3) as pool:
        first = Page(pool, long("One"))
        assert first.drawn.wait(TIMEOUT)
        second = Page(pool, long("Two"))
        until(lambda: server_state._long_turns._short)
        assert not second.drawn.is_set()

        def bystander() -> str | None:
            with runs_held(), server_state.one_at_a_time("The red car stopped."):
                return cached("The red car stopped.").output

        assert pool.submit(bystander).result(TIMEOUT)
        assert not second.drawn.is_set()
        first.end()
        assert second.drawn.wait(TIMEOUT)
        second.end()


def test_a_click_on_a_long_text_waits_for_pages_of_long_texts_only() -> None:
    with ThreadPoolExecutor(2) as pool:
        page = Page(pool, long("One"))
        assert page.drawn.wait(TIMEOUT)

        def click() -> None:
            with runs_held(), server_state.one_at_a_time(long("Two")):
                pass

        waiting = pool.submit(click)
        until(lambda: server_state._long_turns._short)
        with server_state.one_at_a_time("Short."):  # nobody holds the turn of short texts meanwhile
            assert not waiting.done()
        page.end()
        waiting.result(TIMEOUT)


def test_a_page_does_not_wait_for_the_check_of_its_own_run() -> None:
    with ThreadPoolExecutor(3) as pool:
        with server_state._long_check([long("One")]):
            mine, again, other = (Page(pool, long(name)) for name in ("One", "One", "Two"))
            until(lambda: mine.drawn.is_set() or again.drawn.is_set())
            until(lambda: server_state._beside_check_turns._short)  # the second page of that run waits for the first
            until(lambda: server_state._long_turns._short)
            mine.over.set()
            again.over.set()
            until(lambda: mine.ended.done() and again.ended.done())
            assert not other.drawn.is_set()
        assert not server_state._checked_texts
        assert other.drawn.wait(TIMEOUT)
        other.end()


def test_work_of_minutes_lets_go_of_the_page() -> None:
    with ThreadPoolExecutor(1) as pool, runs_held():
        cached(long("One"))
        with server_state.working_model("en-fr", "cpu"):
            pass
        page = Page(pool, long("One"))
        assert page.drawn.wait(TIMEOUT)
        page.end()


def test_who_computes_what_others_wait_for_does_not_wait_for_a_page() -> None:
    cache, begun, held = server_state.result_cache(), threading.Event(), threading.Event()
    trace = cached(long("One"))

    def compute() -> float:
        begun.set()
        assert held.wait(TIMEOUT)
        return float(trace.hidden_states["encoder"][0, 0, 0])

    def first() -> float:
        with runs_held():
            return cache.get("a figure", compute, lambda _: 8)

    def second() -> float:
        assert begun.wait(TIMEOUT)
        with runs_held():
            keep_turn(server_state.long_page)
            held.set()
            return cache.get("a figure", compute, lambda _: 8)

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(one) for one in (first, second)]
        assert found[0].result(TIMEOUT) == found[1].result(TIMEOUT)


def test_a_check_of_a_long_text_waits_for_pages_and_one_of_a_short_text_for_nothing() -> None:
    with ThreadPoolExecutor(1) as pool:
        page = Page(pool, long("One"))
        assert page.drawn.wait(TIMEOUT)
        short = checks.find_check(cached("The red car stopped."))
        assert short is not None
        assert short.ok
        with runs_held():
            trace = server_state.result_cache().find(
                ("shown", ("run", "en-fr", "cpu", (long("One"),), (None,), Edits().text()))
            )[0]
            assert checks.find_check(trace) is None
            until(lambda: server_state._long_turns._long)
            assert checks.find_check(trace) is None
        assert not trace.is_verified
        page.end()
        until(lambda: checks.find_check(trace))
        check = checks.find_check(trace)
        assert check is not None
        assert check.ok
        assert check is trace.verify()


def test_a_check_that_fails_says_so_once_and_can_be_asked_for_again() -> None:
    queue, found = checks.CheckQueue(), list[BaseException]()

    def fail() -> checks.Check:
        raise ValueError("broken")

    def ask() -> bool:
        try:
            queue.find("one", fail)
        except ValueError as error:
            found.append(error)
        return bool(found)

    until(ask)
    assert queue.find("one", fail) is None


def test_a_page_that_nobody_looks_at_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    queue, busy = checks.CheckQueue(), threading.Event()

    def first() -> checks.Check:
        assert busy.wait(TIMEOUT)
        made.append("first")
        return checks.Check(0, 0, 0, 0, 1, 1, "")

    def other() -> checks.Check:
        made.append("other")
        return first()

    assert queue.find("first", first) is None
    assert queue.find("left", other) is None
    until(lambda: not queue._queue or queue._queue[0].make is other)
    queue._wanted["left"].asked -= 2 * checks.FORGOTTEN
    busy.set()
    until(lambda: queue.find("first", first))
    until(lambda: not queue._works)
    assert made == ["first"]
