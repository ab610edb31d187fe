"""Making the next thing while the last one is looked at."""

import threading
import time
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.ahead import one_ahead


def half(n: int) -> int:
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n // 2


def outcome(made: Future[int]) -> int | str:
    return str(made.exception()) if made.exception() else made.result()


@given(st.lists(st.integers(0, 20)), st.integers(0, 10))
def test_everything_comes_in_order_with_what_it_raised(numbers: list[int], light: int) -> None:
    found = [(n, outcome(f)) for n, f in one_ahead(half, numbers, lambda made: made < light)]
    assert found == [(n, f"{n} is odd" if n % 2 else n // 2) for n in numbers]


@pytest.mark.parametrize(("light", "begun"), [(True, [0, 1]), (False, [0])])
def test_next_is_made_in_the_meantime_if_the_last_is_light(light: bool, begun: list[int]) -> None:
    seen: list[int] = []
    second = threading.Event()

    def make(n: int) -> int:
        seen.append(n)
        if n == 1:
            second.set()
        return n

    coming = one_ahead(make, range(3), lambda _: light)
    next(coming)
    assert second.wait(5 if light else 0.2) == light
    assert seen == begun
    assert [n for n, _ in coming] == [1, 2]


def test_nothing_is_made_once_it_is_closed() -> None:
    ended: list[int] = []

    def make(n: int) -> int:
        time.sleep(0.05)
        ended.append(n)
        return n

    coming = one_ahead(make, range(100), lambda _: True)
    next(coming)
    coming.close()
    assert ended == [0, 1]
