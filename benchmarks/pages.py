"""How fast are the dashboard's pages in a lab with many jobs, datasets and episodes?

    python -m benchmarks.pages --home /tmp/busy [--jobs 1000] [--datasets 100] [--episodes 10000]

Fills an empty home (kept for the next call), starts API and dashboard without workers, and opens
every page in headless Chromium. *First paint* is from entering the address, signed in, until the
page's heading and first content are there. *Interaction* is from a click until the dashboard has
finished drawing what it asked for; for the menu also until the first content of the page. Both are
medians of `--runs` rounds after one that warms up; `api_seconds` is how long the API alone takes for a
heavy listing. `--watch 3600` leaves the page of jobs, which looks for news all the time, open for that
many seconds and reports the memory of API, dashboard and browser; with `--runs 0 --results
…/pages_watch.json` it does only that.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import psutil
from playwright.sync_api import Page, expect

from benchmarks.busy_lab import fill
from benchmarks.front import Front, browser_bytes, browser_page, front
from benchmarks.machine import machine, versions
from core.jobs.migrate import upgrade
from dashboard.words import PAGES

PATIENCE_MS = 180_000
RESULTS = Path(__file__).with_name("results") / "pages.json"
QUIET = "[data-testid='stApp'][data-test-script-state='notRunning']"
LISTINGS = {
    "jobs": "/api/v1/jobs?limit=20",
    "datasets": "/api/v1/datasets?limit=500",
    "models": "/api/v1/models?limit=500",
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, required=True)
    for name, default in (("jobs", 1000), ("datasets", 100), ("episodes", 10_000)):
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--watch", type=float, default=0)
    options.add_argument("--results", type=Path, default=RESULTS)
    chosen = options.parse_args()
    kept = chosen.home / "pages.token"
    if not kept.exists():
        print(f"filling {chosen.home} …", flush=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(fill(chosen.home, chosen.jobs, chosen.datasets, chosen.episodes))
    token = kept.read_text()
    upgrade(f"sqlite:///{chosen.home / 'foglab.db'}")  # it may be of an older version
    with front(chosen.home) as served:
        found: dict[str, object] = {}
        if chosen.runs:
            found = measure(served, token, chosen.runs)
            found["api_seconds"] = {n: _asked(served, token, p) for n, p in LISTINGS.items()}
        if chosen.watch:
            found["watched"] = watch(served, token, chosen.watch)
    load = os.getloadavg()
    told = {
        "store": {k: getattr(chosen, k) for k in ("jobs", "datasets", "episodes")},
        **found,
        "runs": chosen.runs,
        "machine": {**machine(), "load_average": [round(x, 1) for x in load]},
        "versions": versions(),
        "note": "core_share is what a busy process got of one core between the rounds: 1 on a quiet "
        "machine. Times with a smaller share are upper bounds.",
    }
    chosen.results.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def measure(served: Front, token: str, runs: int) -> dict[str, object]:
    """Medians in seconds, by page and by interaction."""
    paints: dict[str, list[float]] = {name: [] for name in PAGES}
    clicks: dict[str, list[float]] = {}
    with browser_page(PATIENCE_MS) as page:
        page.goto(f"{served.dashboard_url}/?token={token}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Home")
        page.wait_for_function("() => sessionStorage.getItem('foglab-token')")
        shares = []
        for n in range(runs + 1):
            shares.append(core_share())
            for name, (title, _) in PAGES.items():
                there = f"{served.dashboard_url}/{'' if name == 'home' else name}"
                seconds = _timed(page, partial(page.goto, there), title)
                if n:
                    paints[name].append(seconds)
            for name, seconds in _interactions(page).items():
                if n:
                    clicks.setdefault(name, []).append(seconds)
    return {
        "first_paint_seconds": {k: round(statistics.median(v), 2) for k, v in paints.items()},
        "interaction_seconds": {k: round(statistics.median(v), 2) for k, v in clicks.items()},
        "core_share": round(statistics.median(shares), 2),
    }


def core_share(seconds: float = 3.0) -> float:
    """How much of one core a busy process gets beside everything else on this machine, 0 to 1."""
    started, used = time.monotonic(), time.process_time()
    while time.monotonic() - started < seconds:
        sum(range(1000))
    return (time.process_time() - used) / (time.monotonic() - started)


def _interactions(page: Page) -> dict[str, float]:
    """What people do all day, each from the click on a page at rest."""
    found: dict[str, float] = {}
    for name, (title, _) in PAGES.items():
        shown, drawn = _turned(page, title)
        found |= {f"menu: {name}": shown, f"menu: {name}, all of it": drawn}
        if name == "jobs":
            older = page.get_by_role("button", name="Older")
            found["jobs: older page"] = _changed(page, older.click, page.get_by_text("Page 2"))
            failed = page.get_by_text("Failed", exact=True).first
            found["jobs: failed only"] = _quiet(page, failed.click)
        if name == "datasets":
            found["datasets: report"] = _opened(page, "Report")
            found["datasets: episodes"] = _opened(page, "Episodes")
        if name == "models":
            found["models: config"] = _opened(page, "Config")
        if name == "train":
            one = page.get_by_text("One job", exact=True)
            found["train: one job"] = _quiet(page, one.click)
    return found


def _timed(page: Page, act: Callable[[], object], title: str) -> float:
    started = time.monotonic()
    act()
    page.get_by_role("heading", level=1, name=title, exact=True).wait_for()
    page.locator(".stMain [data-testid='stElementContainer']").nth(1).wait_for(state="attached")
    seconds = time.monotonic() - started
    page.locator(QUIET).wait_for(state="attached")
    return seconds


def _turned(page: Page, title: str) -> tuple[float, float]:
    """To another page by the menu: until its first content is there, and until it is all drawn."""
    _settled(page)
    started = time.monotonic()
    link = page.get_by_role("link", name=title, exact=True).first
    shown = _timed(page, link.click, title)
    return shown, time.monotonic() - started


def _changed(page: Page, act: Callable[[], object], sign: object) -> float:
    started = time.monotonic()
    act()
    expect(sign).to_be_visible()  # type: ignore[call-overload]
    return time.monotonic() - started


def _settled(page: Page, seconds: float = 0.5) -> None:
    """No script runs for so long: what a script that just began draws anew takes no click."""
    page.wait_for_function(
        f"""() => {{
            if (!document.querySelector("{QUIET}")) window.since = null;
            else window.since ??= performance.now();
            return window.since && performance.now() - window.since > {1000 * seconds};
        }}""",
        polling=20,
    )


def _quiet(page: Page, act: Callable[[], object]) -> float:
    """Streamlit marks its root while a script runs; a click is noticed within a few ms."""
    _settled(page)
    page.evaluate(
        "() => { const app = document.querySelector(\"[data-testid='stApp']\"); window.ran = false;"
        "new MutationObserver(() => { window.ran = true; }).observe(app, {attributes: true,"
        " attributeFilter: ['data-test-script-state']}); }"
    )
    started = time.monotonic()
    act()
    page.wait_for_function(f'() => window.ran && document.querySelector("{QUIET}")', polling=10)
    return time.monotonic() - started


def _opened(page: Page, tab: str) -> float:
    """From the click on a tab until all that it shows is there: a redraw may be too short to see."""
    _settled(page)
    inside = page.get_by_role("tabpanel", name=tab).locator("[data-testid='stElementContainer']")
    click = page.get_by_role("tab", name=tab).click
    started = time.monotonic()
    click()
    inside.first.wait_for(state="visible")
    page.locator(QUIET).wait_for(state="attached")
    return time.monotonic() - started


def _asked(served: Front, token: str, path: str) -> float:
    headers = {"Authorization": f"Bearer {token}"}
    times = []
    for _ in range(5):
        started = time.monotonic()
        httpx.get(f"{served.api_url}{path}", headers=headers, timeout=60).raise_for_status()
        times.append(time.monotonic() - started)
    return round(statistics.median(times), 3)


def watch(served: Front, token: str, seconds: float) -> dict[str, object]:
    """Memory in MB of both servers and the browser while the jobs' page stays open.

    Of the page also what JavaScript holds, elements and listeners, each after its garbage was
    collected: the browser itself gives memory back when it likes.
    """
    processes = {"api": served.api_pid, "dashboard": served.dashboard_pid}
    samples: dict[str, list[float]] = {}
    with browser_page(PATIENCE_MS) as page:
        page.goto(f"{served.dashboard_url}/jobs?token={token}")
        page.get_by_role("heading", level=1).wait_for()
        inspector = page.context.new_cdp_session(page)
        inspector.send("Performance.enable")
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            page.wait_for_timeout(min(10_000, seconds * 100))
            for name, pid in processes.items():
                mb = psutil.Process(pid).memory_info().rss / 1e6
                samples.setdefault(f"{name}_mb", []).append(mb)
            inspector.send("HeapProfiler.collectGarbage")
            samples.setdefault("browser_mb", []).append(browser_bytes() / 1e6)
            told = inspector.send("Performance.getMetrics")["metrics"]
            found = {m["name"]: m["value"] for m in told}
            samples.setdefault("page_heap_mb", []).append(found["JSHeapUsedSize"] / 1e6)
            samples.setdefault("page_elements", []).append(found["Nodes"])
            samples.setdefault("page_listeners", []).append(found["JSEventListeners"])
    tenth = max(1, len(samples["api_mb"]) // 10)
    return {
        "seconds": seconds,
        **{
            name: {
                "after_the_first_tenth": round(statistics.median(values[tenth : 2 * tenth]), 1),
                "at_the_end": round(statistics.median(values[-tenth:]), 1),
            }
            for name, values in samples.items()
        },
    }


if __name__ == "__main__":
    main()
