"""A file of many GB through the upload page, cut twice: does it arrive, at what rate, in what memory?

    python -m benchmarks.page_upload --home /tmp/upload [--gigabytes 5]

Starts API and dashboard in an empty home and opens the page in headless Chromium. At a fifth of the
file the browser loses its network for 5 s; at half of it the page is loaded anew and the file chosen
again, as after a closed laptop. Needs room for the file twice. The rate is a floor, and far below
what a user gets: the browser's driver copies the body of every request.
"""

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import Page, expect

from benchmarks.front import Front, browser_bytes, browser_page, front
from benchmarks.machine import machine, versions
from core.artifacts import Artifacts
from core.jobs.migrate import upgrade
from core.jobs.store import Store

PATIENCE_MS = 600_000
RESULTS = Path(__file__).with_name("results") / "page_upload.json"
BLOCK = 16 << 20
CUT_AT, RELOAD_AT = 0.2, 0.5
OFFLINE_SECONDS = 5.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--gigabytes", type=float, default=5.0)
    options.add_argument("--results", type=Path, default=RESULTS)
    chosen = options.parse_args()
    chosen.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.home) as folder:
        home, file = Path(folder) / "home", Path(folder) / "logs.zip"
        home.mkdir()
        digest = write(file, int(chosen.gigabytes * 1e9))
        url = f"sqlite:///{home}/foglab.db"
        upgrade(url)
        store = Store.open(url)
        token = store.create_token("benchmark")
        with front(home) as served:
            found = Watch(served, file, home).upload(token)
        (stored,) = stored_in(home)  # one: the reload went on with what was there
        with stored.open("rb") as data:
            arrived = hashlib.file_digest(data, "sha256").hexdigest() == digest
        store.close()
    told = {"bytes": int(chosen.gigabytes * 1e9), "right_hash": arrived, **found}
    about = {"machine": {**machine(), "load": os.getloadavg()[0]}, "versions": versions()}
    chosen.results.write_text(json.dumps(told | about, indent=1) + "\n")
    print(json.dumps(told, indent=1))


def write(path: Path, size: int) -> str:
    """Bytes that no chunk shares with another; their SHA-256."""
    block, digest = os.urandom(BLOCK), hashlib.sha256()
    if shutil.disk_usage(path.parent).free < 2.2 * size:
        raise SystemExit(f"{path.parent}: not enough room for {2 * size / 1e9:.0f} GB")
    with path.open("wb") as file:
        for n in range(-(-size // BLOCK)):
            piece = (n.to_bytes(8) + block[8:])[: size - n * BLOCK]
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def stored_in(home: Path) -> list[Path]:
    """What arrived of each upload."""
    return list(Artifacts(home).root.glob("uploads/*/data"))


class Watch:
    """One upload by the page, and what it takes up."""

    def __init__(self, served: Front, file: Path, home: Path) -> None:
        self._served, self._file, self._home = served, file, home
        self._size = file.stat().st_size
        self._api: list[float] = []
        self._browser: list[float] = []

    def upload(self, token: str) -> dict[str, object]:
        """Seconds with the pauses; memory in MB after a tenth, at the most and at the end."""
        with browser_page(PATIENCE_MS) as page:
            page.goto(f"{self._served.dashboard_url}/upload?token={token}")
            began = time.monotonic()
            self._choose(page)
            self._until(page, CUT_AT)
            page.context.set_offline(True)
            expect(page.get_by_text("trying again")).to_be_visible()
            time.sleep(OFFLINE_SECONDS)
            page.context.set_offline(False)
            self._until(page, RELOAD_AT)
            page.reload()
            self._choose(page)
            self._until(page, 1.0)
            expect(page.get_by_text("has arrived as up_")).to_be_visible()
            seconds = time.monotonic() - began
        return {
            "seconds": round(seconds, 1),
            "megabytes_per_second": round(self._size / seconds / 1e6, 1),
            "cuts": ["network away for 5 s", "page loaded anew"],
            "api_mb": _told(self._api),
            "browser_mb": _told(self._browser),
        }

    def _choose(self, page: Page) -> None:
        page.get_by_label("Logs").set_input_files(self._file)

    def _until(self, page: Page, share: float) -> None:
        """Wait until so much of the file has arrived."""
        print(f"until {share:.0%} has arrived", flush=True)
        while sum(p.stat().st_size for p in stored_in(self._home)) < share * self._size:
            self._api.append(psutil.Process(self._served.api_pid).memory_info().rss / 1e6)
            self._browser.append(browser_bytes() / 1e6)
            page.wait_for_timeout(500)


def _told(samples: list[float]) -> dict[str, float]:
    """The first tenth warms up."""
    tenth = max(1, len(samples) // 10)
    return {
        "after_a_tenth": round(samples[tenth], 1),
        "most": round(max(samples), 1),
        "at_the_end": round(samples[-1], 1),
    }


if __name__ == "__main__":
    main()
