"""What a training loop tells the outside world, and the one question it asks."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


class Cancelled(Exception):
    """The job was asked to stop; the loop saves a checkpoint and leaves."""


@runtime_checkable
class Recorder(Protocol):
    """Metrics and progress out, cancellation in."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics of one optimizer step; names as `global/loss`, `policy/return`."""

    def progress(self, done: int, total: int, message: str = "") -> None:
        """Say how far the stage is; the service derives the time left from it."""

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` when the job was asked to stop."""

    def rewind(self, step: int) -> None:
        """Forget metrics recorded after `step`: a resumed run records them again."""


class NullRecorder:
    """Listens to nothing; for scripts and tests."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def progress(self, done: int, total: int, message: str = "") -> None:
        pass

    def raise_if_cancelled(self) -> None:
        pass

    def rewind(self, step: int) -> None:
        pass


class After:
    """The recorder of a run's second part: its steps count on from the first part's `steps`."""

    def __init__(self, recorder: Recorder, steps: int) -> None:
        self._recorder = recorder
        self._steps = steps

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._recorder.scalars(self._steps + step, values)

    def progress(self, done: int, total: int, message: str = "") -> None:
        self._recorder.progress(done, total, message)

    def raise_if_cancelled(self) -> None:
        self._recorder.raise_if_cancelled()

    def rewind(self, step: int) -> None:
        self._recorder.rewind(self._steps + step)
