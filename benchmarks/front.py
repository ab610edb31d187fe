"""API and dashboard of one home, with no worker, for a browser to look at."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
from playwright.sync_api import Page, expect, sync_playwright

import dashboard

CHROMIUM = "/usr/bin/chromium"
START_SECONDS = 240.0


class Front(NamedTuple):
    """Where it answers, and the process ids for whoever watches their memory."""

    api_url: str
    dashboard_url: str
    api_pid: int
    dashboard_pid: int


@contextmanager
def front(home: Path) -> Iterator[Front]:
    """Start both, wait until they answer, end them on the way out."""
    ports = [_free_port(), _free_port()]
    api, shown = (f"http://127.0.0.1:{port}" for port in ports)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FOGLAB_")}
    own = {"FOGLAB_HOME": str(home.resolve()), "FOGLAB_CORS_ORIGINS": json.dumps([shown])}
    script = Path(dashboard.__file__).with_name("streamlit_app.py")
    flags = {"address": "127.0.0.1", "port": str(ports[1]), "headless": "true"}
    options = [f"--server.{name}={value}" for name, value in flags.items()]
    python = [sys.executable, "-m"]
    commands = {
        "api": ([*python, "api", "--port", str(ports[0])], environ | own),
        "dashboard": (
            [*python, "streamlit", "run", str(script), *options],
            environ | {"FOGLAB_URL": api},
        ),
    }
    processes, logs = [], []
    try:
        for name, (command, environment) in commands.items():
            logs.append((home / f"{name}.log").open("w"))
            processes.append(
                subprocess.Popen(command, env=environment, stdout=logs[-1], stderr=logs[-1])
            )
        for process, url in zip(
            processes, (f"{api}/healthz", f"{shown}/_stcore/health"), strict=True
        ):
            _wait(process, url)
        yield Front(api, shown, processes[0].pid, processes[1].pid)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        for log in logs:
            log.close()


@contextmanager
def browser_page(patience_ms: float) -> Iterator[Page]:
    """A page of a headless browser, 1280 pixels wide, and patience for all that is waited for."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(patience_ms)
        expect.set_options(timeout=patience_ms)
        yield page
        browser.close()


def browser_bytes() -> int:
    """Of all processes of the browser, pages that they share counted once."""
    ours = psutil.Process().children(recursive=True)
    return sum(p.memory_full_info().pss for p in ours if "chrom" in p.name())


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"{url} did not answer: see the logs in the home")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
