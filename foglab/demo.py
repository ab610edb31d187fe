"""The main job of the README: logs in, a judged policy out, as any client would do it."""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from core.jobs import presets
from core.jobs.presets import Preset
from core.jobs.replies import Job, Pipeline
from foglab.child import UpChild, running_service
from foglab.client import ServiceClient
from foglab.locate import written_token
from foglab.show import duration, follow
from foglab.transport import ServiceError

PATIENCE_SECONDS = 180.0
"""How long a call waits for a service that is being restarted."""
EPISODES = {
    Preset.SMOKE: 24,
    Preset.DEMO: 400,
    Preset.DEMO_LONG: 400,
    Preset.SINGLE_GPU: 1500,
    Preset.PAPER: 4000,
}
CAMERA_SIZE = 64
"""Least side of the camera's pictures in pixels; a preset with larger ones gets its own."""
STAGES = {
    "ingest": "ingest",
    "global": "global_model",
    "local": "local_model",
    "policy": "policy",
    "evaluate": "evaluate",
}
"""Key in the summary's `seconds` to job kind."""
FIGURES = (
    "psnr_1",
    "psnr_10",
    "static_psnr_1",
    "static_psnr_10",
    "gradient_cosine",
    "imagined_return",
    "real_success",
    "random_success",
)


@dataclass(frozen=True)
class Options:
    """What the demo is asked to do."""

    home: Path
    preset: Preset = Preset.DEMO
    task: str = "push_disc"
    episodes: int | None = None
    seed: int = 0
    keep: bool = True
    port: int | None = None
    dashboard: bool = True

    @property
    def number_of_episodes(self) -> int:
        return self.episodes or EPISODES[self.preset]

    @property
    def image_size(self) -> int:
        """Side of the pictures that are logged, in pixels."""
        return max(CAMERA_SIZE, presets.image_size(self.preset))


class DemoFailed(Exception):
    """A job of the line did not succeed; the message says which and why."""


def run(options: Options, console: Console) -> dict[str, Any]:
    """Run the line and return its summary; with `keep`, only after the user has pressed Ctrl-C.

    A second run with the same options and home goes on where the first one was stopped.
    Prints for people on `console`, and the summary as one JSON object on standard output.
    """
    addresses = running_service(options.home)
    child = None
    if not addresses:
        console.print(f"Starting the service in {options.home} …")
        child = UpChild(options.home, _up_options(options))
        addresses = child.start()
    try:
        token = written_token(options.home)
        with ServiceClient(addresses["api_url"], token, patience=PATIENCE_SECONDS) as client:
            summary = _line(client, options, console)
        _tell_where(console, addresses, token)
        stays = options.keep and child is not None
        with suppress(KeyboardInterrupt) if stays else nullcontext():
            if stays:
                console.print("The service stays up for you; Ctrl-C ends it.")
            print(json.dumps(summary), flush=True)
            while stays:
                time.sleep(3600)
    finally:
        if child is not None:
            child.stop()
    return summary


def _line(client: ServiceClient, options: Options, console: Console) -> dict[str, Any]:
    upload = _uploaded(client, options, console)
    line = _submitted(client, options, upload)
    _revive(client, line)
    console.print(f"Pipeline {line.id}: {len(line.jobs)} jobs", highlight=False)
    ids = [job.id for job in line.jobs]
    jobs = follow(console, lambda: [client.job(i) for i in ids])
    failed = [job for job in jobs if job.status != "succeeded"]
    if failed:
        first = failed[0]
        told = f"{first.name} {first.status}: {first.error or 'no reason was given'}"
        raise DemoFailed(f"{told}\n{client.log(first.id, tail=20)}")
    by_kind = {job.kind: job for job in jobs}
    episodes = client.dataset(by_kind["ingest"].output_id or "").episodes
    summary = summarise(options.task, by_kind, episodes)
    console.print(summary_table(summary))
    return summary


# --- Logs and upload


def _uploaded(client: ServiceClient, options: Options, console: Console) -> str:
    logs = _logs(options, console)
    state = _State(logs.with_suffix(".json"))

    def sent(done: int, total: int) -> None:
        if done == total or not console.is_terminal:
            console.print(f"Uploaded {done / 1e6:.1f} of {total / 1e6:.1f} MB", highlight=False)

    earlier = state.read().get("upload")
    if earlier is not None:
        try:
            return client.upload(logs, resume=earlier, progress=sent).id
        except ServiceError as error:
            if error.status != 404:
                raise
    return client.upload(logs, created=lambda i: state.write({"upload": i}), progress=sent).id


def _logs(options: Options, console: Console) -> Path:
    from core.envs.logs import make_logs  # pymunk and its friends, only where they are needed

    n = options.number_of_episodes
    path = options.home / "demo" / f"{options.task}-{n}-{options.image_size}-{options.seed}.zip"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    console.print(f"Making {n} episodes of {options.task} …", highlight=False)
    started = time.monotonic()
    make_logs(options.task, n, path, image_size=options.image_size, seed=options.seed)
    spent = duration(time.monotonic() - started)
    console.print(f"Made {path.stat().st_size / 1e6:.1f} MB in {spent}", highlight=False)
    return path


@dataclass(frozen=True)
class _State:
    """What a rerun must know, written whole or not at all."""

    path: Path

    def read(self) -> dict[str, str]:
        try:
            value: dict[str, str] = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return value

    def write(self, value: dict[str, str]) -> None:
        beside = self.path.with_suffix(f".{os.getpid()}.part")
        beside.write_text(json.dumps(value))
        beside.replace(self.path)


# --- Jobs


def _submitted(client: ServiceClient, options: Options, upload: str) -> Pipeline:
    # The key makes the same jobs of a rerun, as long as what is asked is the same.
    key = f"demo-{upload}-{options.preset}-{options.task}-{options.seed}"
    return client.pipeline(
        preset=options.preset,
        upload_id=upload,
        name=options.task,
        task=options.task,
        seed=options.seed,
        key=key,
    )


def _revive(client: ServiceClient, line: Pipeline) -> None:
    """A rerun tries again what failed before; jobs that failed only with it come back with it."""
    for job in line.jobs:
        if client.job(job.id).status in {"failed", "cancelled"}:
            client.retry(job.id)


# --- Summary


def summarise(task: str, jobs: Mapping[str, Job], episodes: int | None) -> dict[str, Any]:
    """The demo's figures from the ended jobs, by kind; a figure nobody measured is None."""
    judged = jobs["evaluate"].result or {}
    trained = jobs["policy"].result or {}
    return {
        "task": task,
        "dataset": jobs["ingest"].output_id,
        "episodes": episodes,
        "global_model": jobs["global_model"].output_id,
        "local_model": jobs["local_model"].output_id,
        "policy": jobs["policy"].output_id,
        **{name: judged.get(name) for name in FIGURES},
        "imagined_frames": trained.get("imagined_frames"),
        "seconds": {key: jobs[kind].seconds for key, kind in STAGES.items()},
    }


def summary_table(summary: Mapping[str, Any]) -> Table:
    """What the line learned, beside what it must beat."""
    table = Table(title=f"{summary['task']}: {summary['episodes']} episodes of logs")
    for heading in ("figure", "ours", "baseline"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    rows: list[tuple[str, str, str]] = [
        *(
            (
                f"Prediction after {n} step{'s' if n > 1 else ''} (PSNR, beside a still picture)",
                _number(summary[f"psnr_{n}"], "{:.1f} dB"),
                _number(summary[f"static_psnr_{n}"], "{:.1f} dB"),
            )
            for n in (1, 10)
        ),
        (
            "Gradient against the true simulator (cosine)",
            _number(summary["gradient_cosine"], "{:.2f}"),
            "",
        ),
        ("Return in imagination", _number(summary["imagined_return"], "{:.2f}"), ""),
        (
            "Success in the true simulator (beside random)",
            _number(summary["real_success"], "{:.0%}"),
            _number(summary["random_success"], "{:.0%}"),
        ),
        ("Imagined frames", _number(summary["imagined_frames"], "{:,.0f}"), ""),
    ]
    for row in rows:
        table.add_row(*row)
    for stage, seconds in summary["seconds"].items():
        table.add_row(f"Time: {stage}", duration(seconds), "")
    return table


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


# --- Service


def _up_options(options: Options) -> list[str]:
    port = ["--port", str(options.port)] if options.port is not None else []
    return [*port, *([] if options.dashboard else ["--no-dashboard"])]


def _tell_where(console: Console, addresses: Mapping[str, str], token: str | None) -> None:
    show: Callable[..., None] = console.print
    if "dashboard_url" in addresses:
        show(f"Dashboard: {addresses['dashboard_url']}", highlight=False)
    show(f"API:       {addresses['api_url']}/docs", highlight=False)
    show(f"Token:     {token}", highlight=False, markup=False)
