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
    """Mean over up to `span` points around each; gaps stay gaps.

    The window is as wide on either side and closes towards the ends, so that a straight line stays
    what it is and the newest point is the one measured.
    """
    sums, counts = [0.0], [0]
    for value in values:
        sums.append(sums[-1] + (value or 0.0))
        counts.append(counts[-1] + (value is not None))
    out: list[float | None] = []
    for i, value in enumerate(values):
        reach = min(span // 2, i, len(values) - 1 - i)
        low, high = i - reach, i + reach + 1
        known = counts[high] - counts[low]
        out.append(None if value is None else (sums[high] - sums[low]) / known)
    return out
