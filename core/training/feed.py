"""Batches made ahead of their turn, and how long training waited for them all the same."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from core.devices import upload

Batch = dict[str, Tensor]


class Waits:
    """The share of a loop's time that goes into waiting for data."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._since = time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._waited += time.perf_counter() - began

    def metric(self) -> dict[str, float]:
        """`data/wait_share`: 0 to 1, of the time since this was asked last."""
        now = time.perf_counter()
        share = self._waited / max(now - self._since, 1e-9)
        self._waited, self._since = 0.0, now
        return {"data/wait_share": share}


class Feed:
    """Batches by step number, on a device; a thread makes the next one while the loop computes.

    `make` is a function of the step alone, so what a step gets does not depend on what was asked
    before: a batch that was not foreseen is made on the spot. numpy and the copy to a device let
    go of the interpreter, so that the thread does work beside the loop.
    """

    def __init__(
        self,
        make: Callable[[int], Mapping[str, np.ndarray]],
        device: torch.device,
        waits: Waits,
        stride: int = 1,
    ) -> None:
        self._make = make
        self._device = device
        self._waits = waits
        self._stride = stride
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._ahead: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of a step; starts on the one `stride` steps later."""
        with self._waits.waiting():
            ahead, self._ahead = self._ahead, None
            foreseen = ahead is not None and ahead[0] == step
            batch = ahead[1].result() if ahead and foreseen else self._on_device(step)
        following = step + self._stride
        self._ahead = following, self._thread.submit(self._on_device, following)
        return batch

    def _on_device(self, step: int) -> Batch:
        return {name: upload(values, self._device) for name, values in self._make(step).items()}
