"""Does the next thing while the last one is looked at."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def one_ahead(
    make: Callable[[Item], Made], items: Iterable[Item], is_light: Callable[[Made], bool]
) -> Generator[tuple[Item, Future[Made]], None, None]:
    """Every item with what is made of it, in order; the next one is made in the meantime, unless
    the last one is not light: two of its kind might not fit into memory.

    One thread makes all, one after another, so `make` may keep a state of its own. Whatever it
    raises is raised by the future. Nothing is being made any more once the iterator is closed.
    """
    coming = iter(items)
    with ThreadPoolExecutor(1, "ahead") as thread:

        def begin() -> tuple[Item, Future[Made]] | None:
            for item in coming:
                return item, thread.submit(make, item)
            return None

        this = begin()
        while this is not None:
            item, made = this
            wait([made])
            light = made.exception() is not None or is_light(made.result())
            this = begin() if light else None
            yield item, made
            if not light:
                this = begin()
