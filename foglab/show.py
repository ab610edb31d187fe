"""Jobs on a terminal: one table that lives, or plain lines where nobody watches."""

import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from core.jobs.replies import Job

COLORS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}
LINE_EVERY_SECONDS = 15.0


def duration(seconds: float | None) -> str:
    """`42 s`, `3:05` or `1:02:03`."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def status_text(job: Job) -> Text:
    """The status in its colour; a queued job says what it waits for."""
    word = "stopping" if job.cancel_requested and not job.ended else job.status
    if job.status == "queued" and (job.waiting_for or job.waiting):
        word = "waiting"
    return Text(word, style=COLORS.get(job.status, "dim"))


def jobs_table(jobs: Iterable[Job], *, ids: bool = True) -> Table:
    """One row a job."""
    table = Table(box=None, pad_edge=False)
    for heading in (["id"] if ids else []) + ["job", "status", "done", "", "time", "left"]:
        table.add_column(heading, no_wrap=heading != "", overflow="fold")
    for job in jobs:
        p = job.progress
        done, total = (p.done, max(p.total, 1)) if p else (0, 1)
        if job.status == "succeeded":
            done = total
        said = job.error or job.waiting or (p.message if p and not job.ended else "")
        left = duration(p.eta_seconds) if p and not job.ended else ""
        table.add_row(
            *([job.id] if ids else []),
            job.name,
            status_text(job),
            ProgressBar(total=total, completed=done, width=20),
            Text(said),
            duration(job.seconds),
            left,
        )
    return table


class Follower:
    """Shows jobs as they go on: a live table on a terminal, lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._said: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def show(self, jobs: Sequence[Job]) -> None:
        """Draw the table anew, or print lines about what changed."""
        if self._live is not None:
            self._live.update(jobs_table(jobs, ids=False))
            return
        for job in jobs:
            self._line(job)

    def _line(self, job: Job) -> None:
        status, at = self._said.get(job.id, ("", 0.0))
        quiet = time.monotonic() - at < LINE_EVERY_SECONDS or job.status != "running"
        if job.status == status and quiet:
            return
        self._said[job.id] = (job.status, time.monotonic())
        if status or job.status != "queued":
            self._console.print(line(job), highlight=False, markup=False)


def line(job: Job) -> str:
    """One line about a job."""
    parts = [job.name, job.status]
    if job.progress is not None and not job.ended:
        share = 100 * job.progress.done / max(job.progress.total, 1)
        left = job.progress.eta_seconds
        parts += [f"{share:.0f} %", job.progress.message]
        parts += [f"{duration(left)} left"] if left is not None else []
    elif job.status == "running":
        parts.append(duration(job.seconds))
    if job.ended:
        parts += [duration(job.seconds), job.error or ""]
    return " · ".join(p for p in parts if p)


def follow(
    console: Console, read: Callable[[], Sequence[Job]], every: float = 1.0
) -> Sequence[Job]:
    """Show jobs until all of them have ended; returns them as they ended."""
    with Follower(console) as follower:
        while True:
            jobs = read()
            follower.show(jobs)
            if all(job.ended for job in jobs):
                return jobs
            time.sleep(every)
