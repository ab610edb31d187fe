"""A run's metrics, read line by line as they come."""

from dataclasses import dataclass, field

from core.jobs.replies import Metric
from foglab.client import ServiceClient

Series = tuple[list[int], list[float | None]]


@dataclass
class Curves:
    """What has been read of one run's metrics; each `read` asks only for what came since."""

    job_id: str
    lines: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    newest: float | None = None
    """Unix seconds at which the trainer wrote the last line."""
    _last: Metric | None = None

    def read(self, client: ServiceClient) -> bool:
        """Read what is new; True if anything was. Raises `ServiceError`."""
        # The last known line is asked for again: a resumed run takes lines back, and then the
        # whole curve is read anew.
        page = client.metrics(self.job_id, after=max(self.lines - 1, 0)).items
        if self._last is not None:
            if not page or page[0] != self._last:
                self._forget()
                page = client.metrics(self.job_id).items
            else:
                page = page[1:]
        for metric in page:
            self._add(metric)
        return bool(page)

    def _add(self, metric: Metric) -> None:
        for name, value in metric.values.items():
            steps, values = self.series.setdefault(name, ([], []))
            steps.append(metric.step)
            values.append(value)
        self.lines, self.newest, self._last = metric.line, metric.time, metric

    def _forget(self) -> None:
        self.series.clear()
        self.lines, self.newest, self._last = 0, None, None


def thinned(series: Series, most: int = 800) -> Series:
    """At most about `most` points, spread evenly; the last one is always kept."""
    steps, values = series
    stride = -(-len(steps) // most)
    if stride <= 1:
        return series
    # From the end, so that the newest point is shown at once and earlier ones stay put longest.
    return steps[::-stride][::-1], values[::-stride][::-1]


def smoothed(values: list[float | None], span: int) -> list[float | None]:
    """Exponential mean over about `span` points, corrected for its start; gaps stay gaps."""
    keep = 1 - 2 / (span + 1)
    total = weight = 0.0
    out: list[float | None] = []
    for value in values:
        if value is None:
            out.append(None)
            continue
        total, weight = keep * total + value, keep * weight + 1
        out.append(total / weight)
    return out
