"""Pictures of every page, light and dark, and what an accessibility checker says of them.

    foglab demo --keep                                  # in one terminal: something to look at
    python -m benchmarks.screenshots --home .foglab     # in another

Writes docs/screenshots/<page>.png, <page>-dark.png and <page>-phone.png, and prints axe-core's
findings with their impact; the exit code says whether any of them is serious, or whether the
browser's console had an error. `--check` writes no pictures.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from benchmarks.front import CHROMIUM
from core.jobs.replies import Job
from dashboard.words import HIDDEN, PAGES
from foglab.client import ServiceClient
from foglab.locate import written_addresses, written_token

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
SIZES = {"": (1280, 900, "light"), "-dark": (1280, 900, "dark"), "-phone": (390, 844, "light")}
SIGNS = {
    "upload": ".sender",
    "datasets": ".player output",
    "train": ".st-key-line_start",
    "rollouts": ".player output",
    "models": ".js-plotly-plot",
    "gate": ".js-plotly-plot",
    "play": "iframe",
    "lineage": "[aria-label^='Lineage of']",
    "admin": "[class*='st-key-worker']",
    "job": ".js-plotly-plot",
    "compare": "table",
}
"""What is on a page when it is there, in a lab that has been used."""
QUIET_SECONDS, PATIENCE_SECONDS = 2.0, 180.0
LOOK = """() => {
  const roots = [document, ...[...document.querySelectorAll("*")].map((e) => e.shadowRoot)];
  const all = (selector) => roots.filter(Boolean).flatMap((r) => [...r.querySelectorAll(selector)]);
  const player = all(".player output").some((o) => o.textContent === "loading");
  const waits = player || all("[data-testid*='keleton']").length > 0;
  const drawn = document.querySelectorAll(".stMain *").length;
  return `${drawn} ${waits ? "waits" : ""}`;
}"""
SERIOUS = ("serious", "critical")
FOREIGN = "[data-testid='stToolbar'], [data-testid='stHeader'], iframe"
"""Streamlit's own bars, and the play page, which is judged by itself; the rest is ours."""
EXPECTED = "/_stcore/"
"""Streamlit looks for its own health under a page's path before it looks under the root."""


class Finding(NamedTuple):
    """One rule that a page breaks."""

    page: str
    impact: str
    rule: str
    nodes: list[str]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, default=Path(".foglab"))
    options.add_argument("--folder", type=Path, default=FOLDER)
    options.add_argument("--check", action="store_true", help="accessibility only")
    chosen = options.parse_args()
    addresses = written_addresses(chosen.home)
    token = written_token(chosen.home)
    if "dashboard_url" not in addresses or token is None:
        raise SystemExit(f"nothing runs in {chosen.home}: start `foglab up` or `foglab demo` there")
    with ServiceClient(addresses["api_url"], token) as client:
        places = addresses_of(client)
    findings: list[Finding] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for suffix, (width, height, scheme) in SIZES.items():
            with visitor(browser, width, height, scheme, errors) as page:
                page.goto(f"{addresses['dashboard_url']}/?token={token}")
                page.wait_for_function("() => sessionStorage.getItem('foglab-token')")
                for name, place in places.items():
                    page.goto(f"{addresses['dashboard_url']}/{place}")
                    if name in SIGNS:
                        page.locator(SIGNS[name]).first.wait_for()
                    settle(page)
                    if name == "rollouts":
                        page.get_by_role("slider", name="Frame").press("End")
                        page.wait_for_timeout(500)
                    if not chosen.check:
                        chosen.folder.mkdir(parents=True, exist_ok=True)
                        page.screenshot(path=chosen.folder / f"{name}{suffix}.png")
                    findings += judged(page, f"{name}{suffix}")
        browser.close()
    for finding in findings:
        print(f"{finding.impact}: {finding.page}: {finding.rule}: {finding.nodes[:2]}")
    print(*errors, sep="\n")
    serious = [f for f in findings if f.impact in SERIOUS]
    print(f"{len(serious)} serious findings, {len(errors)} errors in the browser's console")
    sys.exit(bool(serious or errors))


def addresses_of(client: ServiceClient) -> dict[str, str]:
    """Page to its address; job and comparison need runs to show."""
    places = {name: "" if name == "home" else name for name in PAGES}
    done: list[Job] = client.jobs(status="succeeded", limit=200)
    trained = [job for job in done if job.kind == "global_model"]
    if trained:
        places["job"] = f"job?id={trained[0].id}"
    policies = [job for job in done if job.kind == "policy"]
    if len(policies) > 1:
        places["compare"] = f"compare?runs={policies[0].id},{policies[1].id}"
    assert set(places) <= set(PAGES) | set(HIDDEN)
    return places


@contextmanager
def visitor(
    browser: Browser, width: int, height: int, scheme: Any, errors: list[str]
) -> Iterator[Page]:
    """A page of that size and colour scheme; what its console complains of goes into `errors`."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(180_000)
    expect.set_options(timeout=180_000)

    def heard(message: ConsoleMessage) -> None:
        place = str(message.location.get("url", ""))
        if message.type == "error" and EXPECTED not in place:
            errors.append(f"{page.url}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    yield page
    context.close()


def settle(page: Page) -> None:
    """Until nothing on the page has changed for two seconds and nothing is a placeholder."""
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    before, since = "", time.monotonic()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        now: str = page.evaluate(LOOK)
        if now != before:
            before, since = now, time.monotonic()
        elif "waits" not in now and time.monotonic() - since > QUIET_SECONDS:
            return
        page.wait_for_timeout(250)
    raise SystemExit(f"{page.url} did not come to rest within {PATIENCE_SECONDS:.0f} s")


def judged(page: Page, name: str) -> list[Finding]:
    """What axe-core finds in the page's own content, by WCAG 2.1 A and AA and its best practices."""
    context = {"include": [[".stApp"]], "exclude": [[part.strip()] for part in FOREIGN.split(",")]}
    found = Axe().run(page, context=context, options={"resultTypes": ["violations"]})
    return [
        Finding(name, str(v["impact"]), str(v["id"]), [str(n["target"]) for n in v["nodes"]])
        for v in found.response["violations"]
    ]


if __name__ == "__main__":
    main()
