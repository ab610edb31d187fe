"""What the simulator costs: many sessions beside one, HTTP beside the model's own step, the page.

    python -m benchmarks.simulator --home .foglab [--seconds 6] [--page]

Starts a simulator process and an API of its own in a temporary home with untrained models, for
speed does not depend on weights: the demo preset's, its network at 64 pixels, and the preset that
has 64 pixels. `http` is one session with `POST /sim/step` over
one kept connection, `stream` the same over the WebSocket; the model's own step is measured in this
process just before, on one thread, as the simulator does it. Overhead is what comes on top
of it. `--page` plays the play page in Chromium at 32 pixels, as fast as it goes and at 15 steps/s.
Load of the machine by others is recorded with each row: it makes every time an upper bound.
"""

import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import torch
from matplotlib.figure import Figure

import foglab
from benchmarks.harness import Row, Settings, Summary, measure_rows, parser, publish, work_folder
from benchmarks.plots import COLOURS
from benchmarks.sampler import untrained
from core.artifacts import Artifacts
from core.data.episode import Episode
from core.data.writer import DatasetWriter
from core.envs import TASKS
from core.envs.camera import make_judge
from core.envs.logs import play_episode
from core.global_model.model import GlobalModel
from core.imagination.batch import imagine_each
from core.jobs import presets
from core.jobs.migrate import upgrade
from core.jobs.presets import Preset
from core.jobs.records import NewArtifact
from core.jobs.spec import GlobalModelSpec, IngestSpec, Kind, Spec
from core.jobs.store import Store
from foglab.sockets import listen

SESSIONS = (1, 4, 16)
NETWORKS = {
    "demo, 32 px": (Preset.DEMO, 32),
    "demo, 64 px": (Preset.DEMO, 64),
    "single_gpu, 64 px": (Preset.SINGLE_GPU, 64),
}
DEMO = "demo, 32 px"
CHROMIUM = "/usr/bin/chromium"


@dataclass(frozen=True)
class Running:
    """A service on this machine."""

    url: str
    token: str
    models: dict[str, str]
    """Network to global model."""
    pids: list[int]
    """Simulator and API."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=6.0, help="for each row")
    options.add_argument("--page", action="store_true", help="measure the play page too")
    chosen = options.parse_args()
    grid: list[Settings] = []
    for network in NETWORKS:
        grid += [{"what": "model", "network": network, "sessions": n} for n in SESSIONS]
        grid += [{"what": "stream", "network": network, "sessions": n} for n in SESSIONS]
        grid += [{"what": "http", "network": network, "sessions": n} for n in (1, 16)]
    if chosen.page:
        grid += [{"what": "page", "network": DEMO, "speed": s} for s in ("0", "15")]
    work = work_folder(chosen.home, "simulator")
    with service() as running:
        measure = partial(measured, running=running, seconds=chosen.seconds)
        rows = measure_rows(work, grid, measure)
    claim = "frames per second by sessions, and what the way to the model adds to its step"
    figures = {"overhead": overhead(rows), "gain_of_16": gains(rows)}
    publish(
        "simulator",
        claim,
        rows,
        summary_of(rows),
        partial(draw, rows=rows),
        chosen.results,
        figures,
    )


def measured(settings: Settings, running: Running, seconds: float) -> dict[str, Any]:
    """One row: frames per second, and the median time of a step."""
    before = psutil.cpu_percent(interval=1.0)
    how: Callable[..., dict[str, Any]] = {
        "model": own_step,
        "stream": over_stream,
        "http": over_http,
        "page": in_browser,
    }[settings["what"]]
    found = how(settings, running, seconds)
    return {**found, "others_percent": before, "load": os.getloadavg()[0]}


def timed(
    step: Callable[[], object], frames: int, seconds: float, others: Sequence[int] = ()
) -> dict[str, Any]:
    """Median and quick time of a step that gives so many frames, and its processor time.

    `others`: processes whose time counts besides this one's.
    """
    for _ in range(3):
        step()
    spent = processor_time(others)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 5:
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    middle = statistics.median(times)
    return {
        "frames_per_second": frames * len(times) / sum(times),
        "step_ms": 1000 * middle,
        "quick_step_ms": 1000 * float(np.quantile(times, 0.1)),
        "processor_ms": 1000 * (processor_time(others) - spent) / len(times),
        "steps": len(times),
    }


def processor_time(others: Sequence[int]) -> float:
    """Seconds of this process and others."""
    found = time.process_time()
    for pid in others:
        told = psutil.Process(pid).cpu_times()
        found += told.user + told.system
    return found


def own_step(settings: Settings, running: Running, seconds: float) -> dict[str, Any]:
    """The model alone, threads as the simulator chooses them."""
    network, many = settings["network"], settings["sessions"]
    torch.set_num_threads(1 if many < 4 else min(2, os.cpu_count() or 1))
    model, size = network_of(network), NETWORKS[network][1]
    frames = torch.zeros(many, model.config.context, 3, size, size)
    actions = torch.zeros(many, model.config.context, 2)
    generators = [torch.Generator().manual_seed(i) for i in range(many)]
    return timed(lambda: imagine_each(model, frames, actions, generators), many, seconds)


def over_stream(settings: Settings, running: Running, seconds: float) -> dict[str, Any]:
    """`foglab.make` or `foglab.make_vec`."""
    model, many = running.models[settings["network"]], settings["sessions"]
    asked: dict[str, Any] = {"token": running.token, "model": model, "max_steps": 100_000}
    if many == 1:
        env = foglab.make(running.url, **asked)
        env.reset(seed=0)
        action = np.zeros(2, np.float32)
        try:
            return timed(lambda: env.step(action), 1, seconds, running.pids)
        finally:
            env.close()
    envs = foglab.make_vec(running.url, many, **asked)
    envs.reset(seed=0)
    actions = np.zeros((many, 2), np.float32)
    try:
        return timed(lambda: envs.step(actions), many, seconds, running.pids)
    finally:
        envs.close()


def over_http(settings: Settings, running: Running, seconds: float) -> dict[str, Any]:
    """`POST /sim/step` over connections that are kept, one for each session."""
    model, many = running.models[settings["network"]], settings["sessions"]
    lines = [Line(running, model) for _ in range(many)]
    with ThreadPoolExecutor(many) as pool:
        if many == 1:
            return timed(lines[0].step, 1, seconds, running.pids)
        return timed(lambda: list(pool.map(Line.step, lines)), many, seconds, running.pids)


class Line:
    """One session by requests."""

    def __init__(self, running: Running, model: str) -> None:
        address = urlsplit(running.url)
        self._http = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)
        self._headers = {
            "Authorization": f"Bearer {running.token}",
            "Content-Type": "application/json",
        }
        asked = {"model": model, "max_steps": 100_000}
        session = json.loads(self._post("reset", json.dumps(asked)))["session_id"]
        self._body = json.dumps({"session_id": session, "action": [0.0, 0.0]})

    def step(self) -> bytes:
        return self._post("step", self._body)

    def _post(self, what: str, body: str) -> bytes:
        self._http.request("POST", f"/api/v1/sim/{what}", body, self._headers)
        answer = self._http.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{what}: {answer.status} {content.decode()}")
        return content


def in_browser(settings: Settings, running: Running, seconds: float) -> dict[str, Any]:
    """The page's own figures: steps per second, and milliseconds from a key to its frame."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(180_000)
        model = running.models[settings["network"]]
        page.goto(f"{running.url}/play?model={model}#token={running.token}")
        page.wait_for_selector("#status.good")
        page.select_option("#speed", settings["speed"])
        page.click("#run")
        rates: list[float] = []
        waits: list[float] = []
        until = time.perf_counter() + max(seconds, 10)
        while time.perf_counter() < until or len(waits) < 10:
            key = "d" if len(waits) % 2 else "a"
            page.keyboard.down(key)
            page.wait_for_timeout(250)
            page.keyboard.up(key)
            page.wait_for_timeout(250)
            shown = [_shown(page.inner_text(i)) for i in ("#rate", "#latency")]
            if shown[0] is not None and shown[1] is not None:
                rates.append(shown[0])
                waits.append(shown[1])
        browser.close()
    rates, waits = rates[4:], waits[4:]  # the first ones are those of a page that warms up
    return {
        "frames_per_second": statistics.median(rates),
        "input_to_frame_ms": statistics.median(waits),
        "input_to_frame_95_ms": float(np.quantile(waits, 0.95)),
    }


def _shown(text: str) -> float | None:
    found = re.search(r"[\d.]+", text)
    return float(found[0]) if found else None


# --- A service of its own


@contextlib.contextmanager
def service() -> Iterator[Running]:
    """Simulator and API as `foglab up` starts them, on a home that goes afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="foglab-sim-") as folder,
        contextlib.ExitStack() as stack,
    ):
        home = Path(folder)
        upgrade(f"sqlite:///{home}/foglab.db")
        store = Store.open(f"sqlite:///{home}/foglab.db")
        stack.callback(store.close)
        models = {n: make_model(store, Artifacts(home), n) for n in NETWORKS}
        token = store.create_token("benchmark")
        environ = {**os.environ, "FOGLAB_HOME": str(home)}
        listener = stack.enter_context(listen("API", None, 8000))
        fd, pids = listener.fileno(), []
        for module, more in (("worker.simulator", []), ("api", ["--fd", str(fd)])):
            log = stack.enter_context((home / f"{module}.log").open("w"))
            program = subprocess.Popen(
                [sys.executable, "-m", module, *more],
                env=environ,
                stdout=log,
                stderr=log,
                pass_fds=[fd],
            )
            pids.append(program.pid)
            stack.callback(program.wait)
            stack.callback(program.terminate)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Running(url, token, models, pids)


def spec_of(network: str, dataset: str) -> GlobalModelSpec:
    """A preset's global model."""
    fields = presets.overrides(NETWORKS[network][0], Kind.GLOBAL_MODEL)
    return GlobalModelSpec.model_validate({**fields, "dataset": dataset})


def network_of(network: str) -> GlobalModel:
    """An untrained global model."""
    spec = spec_of(network, "ds_00000000")
    return untrained(spec, NETWORKS[network][1], spec.num_denoising_steps, True)


def make_model(store: Store, artifacts: Artifacts, name: str) -> str:
    """An untrained model, with a few episodes to start from."""
    size = NETWORKS[name][1]
    upload = store.register_upload(f"up_{[*NETWORKS].index(name):032d}", "logs.zip", 1, "0" * 64).id
    dataset = _registered(store, IngestSpec(upload=upload, name=name))
    env, play = make_judge("push_disc", size), TASKS["push_disc"].play()
    with DatasetWriter(artifacts.dataset(dataset)) as writer:
        for n in range(2):
            one = play_episode(env, play, np.random.default_rng(n))
            writer.append(
                Episode(one["image"], one["action"], reward=one["reward"], source=f"{n}.npz")
            )
        writer.finish(name="push_disc", fps=10, action_kind="delta", task="push_disc")
    env.close()
    spec = spec_of(name, dataset)
    model = _registered(store, spec)
    folder = artifacts.model(model)
    folder.mkdir(parents=True)
    network = network_of(name)
    with torch.no_grad():
        network.reward.head[-1].bias[1] = -20.0  # type: ignore[index,union-attr]  # never ends
    network.save(folder)
    (folder / "spec.json").write_text(spec.model_dump_json())
    return model


def _registered(store: Store, spec: Spec) -> str:
    job = store.claim(store.submit(spec, "benchmark").id, "benchmark")
    assert job is not None
    store.succeed(job.id, job.epoch, {}, NewArtifact())
    return job.output_id


# --- What is told


def overhead(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of one session, in shares of the model's own step: medians, the quickest tenth, and the
    processor time of client, API and simulator together, which others' load disturbs least."""
    found = []
    for network in NETWORKS:
        alone = _row(rows, "model", network, 1)
        for what in ("stream", "http"):
            way = _row(rows, what, network, 1)
            found.append(
                {
                    "network": network,
                    "way": what,
                    "share": way["step_ms"] / alone["step_ms"] - 1,
                    "share_of_quick_steps": way["quick_step_ms"] / alone["quick_step_ms"] - 1,
                    "share_of_processor_time": way["processor_ms"] / alone["processor_ms"] - 1,
                }
            )
    return found


def gains(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Frames per second of 16 sessions in multiples of those of one."""
    return [
        {
            "network": network,
            "way": what,
            "gain": _row(rows, what, network, 16)["frames_per_second"]
            / _row(rows, what, network, 1)["frames_per_second"],
            "gain_per_processor_second": 16
            * _row(rows, what, network, 1)["processor_ms"]
            / _row(rows, what, network, 16)["processor_ms"],
        }
        for network in NETWORKS
        for what in ("model", "stream", "http")
    ]


def _row(rows: Sequence[Row], what: str, network: str, sessions: int) -> Row:
    wanted = {"what": what, "network": network, "sessions": sessions}
    return next(r for r in rows if r.settings == wanted)


def summary_of(rows: Sequence[Row]) -> Summary:
    """What is shown of each row."""
    return [{**r.settings, **{k: round(v, 2) for k, v in r.values.items()}} for r in rows]


def draw(figure: Figure, rows: Sequence[Row]) -> None:
    """Frames per second over sessions; dashed: the model alone."""
    axes = figure.subplots()
    for colour, network in zip(COLOURS, NETWORKS, strict=False):
        for what, style in (("model", "o--"), ("stream", "o-")):
            values = [_row(rows, what, network, n)["frames_per_second"] for n in SESSIONS]
            axes.plot(SESSIONS, values, style, color=colour, label=f"{network}, {what}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(SESSIONS, [str(n) for n in SESSIONS])
    axes.set_xlabel("sessions at once")
    axes.set_ylabel("frames per second")
    axes.set_ylim(bottom=0)
    axes.legend()


if __name__ == "__main__":
    main()
