"""What every benchmark shares: rows that survive interruptions, and the table and plot they become.

A row is one measurement, known by its settings. `measure_rows` keeps each finished row as a file
under `<home>/benchmarks/<name>/`: a benchmark that is started again reads it back, and several
processes with the same home share the rows among them. `publish` turns rows into
`<results>/<name>.json`, `<results>/<name>.png` and a printed table. A row does not know the code
that made it: delete its file to measure it again.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.machine import Run, this_run
from benchmarks.plots import new_figure
from benchmarks.terminal import print_summary
from core.artifacts import sync
from core.evaluation.success import mean_interval, share_interval

Settings = Mapping[str, Any]
Values = Mapping[str, Any]
Summary = list[dict[str, Any]]
RESULTS = Path(__file__).parent / "results"
_FLAT_LIST = re.compile(r"\[\n([^\[\]{}\"]*)\n *\]")
"""A list of numbers as JSON indents it: one to a line."""


@dataclass(frozen=True)
class Row:
    """One measurement: `settings` say what was measured, `values` what came out."""

    settings: dict[str, Any]
    values: dict[str, Any]
    seconds: float | None
    run: Run

    def __getitem__(self, name: str) -> Any:
        return self.settings[name] if name in self.settings else self.values[name]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has: `--home` and `--results`."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--home", type=Path, default=Path(".foglab"), help="datasets, models and unfinished work"
    )
    options.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of the table and the plot"
    )
    return options


def work_folder(home: Path, name: str) -> Path:
    """Where a benchmark keeps its rows and whatever it wants to resume from."""
    folder = home / "benchmarks" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def key_of(settings: Settings) -> str:
    """A name for these settings: 16 hexadecimal digits, the same for the same values."""
    text = json.dumps(settings, sort_keys=True, default=plain, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def measure_rows(
    work: Path, grid: Iterable[Settings], measure: Callable[[Settings], Values]
) -> list[Row]:
    """One row for each settings of `grid`, in its order; only missing ones are measured.

    A row that another process is busy with is left to it until everything else is done.
    Raises ValueError when `measure` returns a name that is already a setting, or a value that
    JSON cannot hold.
    """
    wanted = list(grid)
    names = _what_varies(wanted)
    busy = [s for s in wanted if not _measure_one(work, s, measure, names, wait=False)]
    for settings in busy:
        _measure_one(work, settings, measure, names, wait=True)
    return [read_row(work / f"{key_of(s)}.json") for s in wanted]


def read_row(path: Path) -> Row:
    """Read a finished row."""
    stored = json.loads(path.read_text())
    return Row(**stored | {"run": Run(**stored["run"])})


def read_rows(work: Path) -> list[Row]:
    """Every finished row of a work folder, oldest first, whichever process added it."""
    return [read_row(p) for p in sorted(work.glob("*.json"), key=lambda p: p.stat().st_mtime_ns)]


def write_row(work: Path, row: Row) -> None:
    """Keep a row; an older one with the same settings is replaced."""
    write_json(work / f"{key_of(row.settings)}.json", asdict(row))


def _what_varies(grid: Sequence[Settings]) -> list[str]:
    """Settings that tell the rows of a grid apart."""
    names = dict.fromkeys(name for settings in grid for name in settings)
    return [n for n in names if len({key_of({n: s.get(n)}) for s in grid}) > 1]


def _measure_one(
    work: Path,
    settings: Settings,
    measure: Callable[[Settings], Values],
    names: Sequence[str],
    wait: bool,
) -> bool:
    """Whether the row is there now; the lock goes with the process that holds it."""
    done = work / f"{key_of(settings)}.json"
    if done.exists():
        return True
    with done.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        if not done.exists():  # another process may just have finished it
            print(f"{work.name}:", *(f"{n}={settings.get(n)}" for n in names), flush=True)
            started = time.perf_counter()
            values = dict(measure(settings))
            if both := settings.keys() & values.keys():
                raise ValueError(f"measured values {sorted(both)} are named like settings")
            seconds = round(time.perf_counter() - started, 3)
            write_row(work, Row(dict(settings), values, seconds, this_run(work.parents[1])))
    return True


Figures = Mapping[str, Callable[[Sequence[Row]], Any]]


def summarise(rows: Sequence[Row], by: Sequence[str], figures: Figures) -> Summary:
    """One line for each combination of the settings `by`, in order of appearance.

    Each figure is made of that line's rows; `share` and `mean` make the usual ones.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key_of({k: row.settings[k] for k in by}), []).append(row)
    return [
        {k: group[0].settings[k] for k in by}
        | {"seeds": sorted({r.settings["seed"] for r in group if "seed" in r.settings})}
        | {name: figure(group) for name, figure in figures.items()}
        for group in groups.values()
    ]


def share(name: str, trials: str) -> Callable[[Sequence[Row]], dict[str, Any]]:
    """Pooled share over rows, each a share `name` of `trials` trials; Wilson's 95 % interval."""

    def figure(rows: Sequence[Row]) -> dict[str, Any]:
        total = sum(int(r[trials]) for r in rows)
        wins = sum(round(r[name] * r[trials]) for r in rows)
        return {"mean": wins / total, "interval": share_interval(wins, total), "n": total}

    return figure


def mean(name: str) -> Callable[[Sequence[Row]], dict[str, Any]]:
    """Mean of one value over rows; 95 % interval by the normal approximation."""

    def figure(rows: Sequence[Row]) -> dict[str, Any]:
        values = np.array([r[name] for r in rows], np.float64)
        interval = mean_interval(values) if len(values) > 1 else None
        return {"mean": float(values.mean()), "interval": interval, "n": len(values)}

    return figure


def publish(
    name: str,
    claim: str,
    rows: Sequence[Row],
    summary: Summary,
    draw: Callable[[Figure], None],
    results: Path = RESULTS,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write the table and the plot, print the summary; returns the table's path.

    The table holds the claim, the summary, every row with its seed, and the distinct runs
    (machine, versions, command) that the rows came from.
    """
    if not rows:
        raise ValueError(f"benchmark {name} has no finished rows to publish")
    runs = list({key_of(asdict(r.run)): r.run for r in rows}.values())
    table = {
        "benchmark": name,
        "claim": claim,
        "seeds": sorted({r.settings["seed"] for r in rows if "seed" in r.settings}),
        "summary": summary,
        **(extra or {}),
        "runs": [asdict(run) for run in runs],
        "rows": [
            {**r.settings, **r.values, "seconds": r.seconds, "run": runs.index(r.run)} for r in rows
        ],
    }
    path = results / f"{name}.json"
    figure = new_figure()
    draw(figure)
    write_json(path, table)
    beside = results / f".{name}.{os.getpid()}.png"
    figure.savefig(beside)
    beside.replace(path.with_suffix(".png"))
    print_summary(f"{name}: {claim}", summary)
    return path


def write_json(path: Path, value: Any) -> None:
    """Write a whole file or none, flat lists on one line.

    Raises ValueError when a number in it is not finite.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        text = json.dumps(value, indent=1, default=plain, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path.name} would hold a number that is not finite: {error}") from error
    text = _FLAT_LIST.sub(lambda found: f"[{' '.join(found[1].split())}]", text)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text + "\n")
    sync(beside)
    beside.replace(path)


def plain(value: Any) -> Any:
    """What JSON does not know: numpy's numbers and arrays, and paths."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored in a table: {value!r}")
