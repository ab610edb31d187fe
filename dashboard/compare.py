"""Two or more runs side by side: where their specs differ, and what came of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.jobs.replies import Job
from dashboard import results, words

_UNTOLD = frozenset({"kind"})


def labels(jobs: Sequence[Job]) -> dict[str, str]:
    """A name for each run by id; those of one name are told apart by their id."""
    names = [job.name for job in jobs]
    return {j.id: j.name if names.count(j.name) == 1 else f"{j.name} ({j.id[-6:]})" for j in jobs}


def spec_rows(jobs: Sequence[Job], *, all_fields: bool = False) -> list[dict[str, str]]:
    """One row a field in which the specs differ, or all; one column a run."""
    names = labels(jobs)
    fields = dict.fromkeys(f for job in jobs for f in job.spec if f not in _UNTOLD)
    rows = []
    for field in fields:
        values = {names[job.id]: _written(job.spec.get(field)) for job in jobs}
        if all_fields or len(set(values.values())) > 1:
            rows.append({"Field": words.sentence(field), **values})
    return rows


def result_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """One row a figure, with its 95 % interval where there is one; one column a run."""
    names = labels(jobs)
    tables = {names[j.id]: results.table(j.result or {}) for j in jobs}
    figures = dict.fromkeys(row["Figure"] for table in tables.values() for row in table)
    found: dict[str, dict[str, str]] = {figure: {} for figure in figures}
    for name, table in tables.items():
        for row in table:
            bounds = row["95 % interval"]
            found[row["Figure"]][name] = f"{row['Value']} [{bounds}]" if bounds else row["Value"]
    return [
        {"Figure": figure, **{n: values.get(n, "–") for n in tables}}
        for figure, values in found.items()
    ]


def _written(value: Any) -> str:
    if isinstance(value, list | Mapping):
        return json.dumps(value)
    return words.number(value)
