"""The dashboard in real Chromium, with a real API behind it.

Times are printed, not asserted: run with `-s` on a quiet machine to read them.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, Route, expect, sync_playwright

from core.jobs.spec import Kind
from dashboard.words import PAGES
from foglab.client import ServiceClient
from tests.dashboard import makers
from tests.dashboard.conftest import Service, streamlit_server
from tests.dashboard.makers import FPS, STEPS, Lab

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 180_000
# Streamlit looks for its own health under a page's path before it looks under the root.
EXPECTED = ("/_stcore/", "/api/v1/sim/info")  # no simulator runs beside these pages


class Visitor:
    """A browser's page, and everything it complained about."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        place = str(message.location.get("url", ""))
        if message.type == "error" and not any(e in place for e in EXPECTED):
            self.complaints.append(f"{message.text} {place}")

    def open(self, page: str) -> None:
        """By the menu, as people do."""
        self.page.get_by_role("link", name=PAGES[page][0], exact=True).first.click()
        expect(self.heading).to_have_text(PAGES[page][0])

    @property
    def heading(self) -> Any:
        return self.page.get_by_role("heading", level=1)


def said(text: str) -> None:
    """For people who read the output of a run; pytest shows it with -s."""
    sys.stdout.write(f"\n{text}\n")


@pytest.fixture(scope="module")
def dashboard_url(
    service: Service, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with streamlit_server(service, tmp_path_factory.mktemp("logs") / "dashboard.log") as url:
        yield url


@pytest.fixture(scope="module")
def visitor(dashboard_url: str, service: Service) -> Iterator[Visitor]:
    """Signed in, on the home page."""
    assert Path(CHROMIUM).exists(), "install Debian's chromium: it plays H.264"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        visitor = Visitor(page, dashboard_url)
        started = time.monotonic()
        page.goto(f"{dashboard_url}/?token={service.token}")
        expect(visitor.heading).to_have_text("Home")
        said(f"first page of a fresh server drawn after {time.monotonic() - started:.2f} s")
        yield visitor
        browser.close()


def state_of_videos(page: Page) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.locator("video").evaluate_all(
        "videos => videos.map(v => ({at: v.currentTime, ready: v.readyState, long: v.duration}))"
    )
    return found


def wait_for_videos(page: Page, count: int) -> None:
    expect(page.locator("video")).to_have_count(count)
    expect(page.locator(".player output")).not_to_have_text("loading")
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not all(video["ready"] >= 2 for video in state_of_videos(page)):
        assert time.monotonic() < deadline, f"not loaded: {state_of_videos(page)}"
        page.wait_for_timeout(50)  # a seek to the first frame may be under way


def test_token_leaves_the_address(visitor: Visitor) -> None:
    expect(visitor.page).to_have_url(f"{visitor.url}/")


def test_every_page_opens_from_the_menu(visitor: Visitor) -> None:
    for name in PAGES:
        started = time.monotonic()
        visitor.open(name)
        said(f"{name} opened after {time.monotonic() - started:.2f} s")
        expect(visitor.page.get_by_test_id("stException")).to_have_count(0)


def test_episode_plays_beside_its_numbers(visitor: Visitor) -> None:
    visitor.open("datasets")
    wait_for_videos(visitor.page, 1)
    expect(visitor.page.locator(".panels figure")).to_have_count(
        4
    )  # actions, reward, state, labels
    output = visitor.page.locator(".player output")
    expect(output).to_contain_text("0 / 80")
    visitor.page.get_by_role("button", name="One frame on").click()
    expect(output).to_contain_text("1 / 80")


def test_imagined_and_real_are_frame_locked(visitor: Visitor) -> None:
    visitor.open("rollouts")
    wait_for_videos(visitor.page, 4)  # real, imagined, dream and their difference
    page = visitor.page
    assert [v["long"] for v in state_of_videos(page)] == pytest.approx([(STEPS + 1) / FPS] * 4)
    pause = page.get_by_role("button", name="Pause")
    if not pause.is_visible():
        page.get_by_role("button", name="Play").click()
    seen = set()
    for _ in range(30):
        at = [video["at"] for video in state_of_videos(page)]
        assert max(at) - min(at) < 1 / FPS
        seen.add(at[0])
        page.wait_for_timeout(50)
    assert len(seen) > 3, "they play"
    page.get_by_role("button", name="Pause").click()


def test_player_is_driven_by_keys_slider_and_curve(visitor: Visitor) -> None:
    page, output = visitor.page, visitor.page.locator(".player output")
    page.get_by_role("button", name="To the first frame").focus()
    page.keyboard.press("End")
    expect(output).to_contain_text(f"{STEPS} / {STEPS}")
    page.keyboard.press("ArrowLeft")
    expect(output).to_contain_text(f"{STEPS - 1} / {STEPS}")
    page.keyboard.press("Home")
    expect(output).to_contain_text(f"0 / {STEPS}")
    page.get_by_role("slider", name="Frame").fill("12")
    expect(output).to_contain_text(f"12 / {STEPS}")
    expect(page.locator(".marker").first).to_have_attribute("x1", "12")
    page.locator(".plot").first.click(position={"x": 1, "y": 40})
    expect(output).to_contain_text(f"0 / {STEPS}")
    assert [v["at"] for v in state_of_videos(page)] == pytest.approx([0.5 / FPS] * 4)


def test_views_are_switched_off_and_on(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("button", name="Dream", exact=True).click()
    wait_for_videos(page, 3)
    page.get_by_role("button", name="Dream", exact=True).click()
    wait_for_videos(page, 4)


def test_policy_is_shown_in_both_worlds(visitor: Visitor) -> None:
    visitor.page.get_by_role("combobox", name="Shown").click()
    visitor.page.get_by_text("the policy, in both worlds").click()
    expect(visitor.page.get_by_text("Policy in the true simulator")).to_be_visible()
    expect(visitor.page.get_by_text("Policy in imagination")).to_be_visible()
    wait_for_videos(visitor.page, 3)  # their courses part: a difference would mean nothing


def test_lineage_is_drawn(visitor: Visitor) -> None:
    visitor.open("lineage")
    expect(visitor.page.get_by_label("Lineage of").first).to_contain_text("SHA-256")


def test_file_goes_straight_to_the_service_and_becomes_a_job(
    visitor: Visitor, service: Service, tmp_path: Path
) -> None:
    logs = makers.logs(tmp_path / "my robot.zip", episodes=2)
    visitor.open("upload")
    page = visitor.page
    page.get_by_label("Logs").set_input_files(logs)
    expect(page.get_by_text("has arrived as up_")).to_be_visible()
    page.get_by_role("button", name="Make a dataset").click()
    expect(visitor.heading).to_have_text("my robot")
    job = service.store.list_jobs(limit=1)[0]
    upload = service.artifacts.upload(str(job.spec["upload"]))
    assert (job.kind, job.name) == (Kind.INGEST, "my robot")
    assert (upload / "data").read_bytes() == logs.read_bytes()


def test_cut_upload_goes_on_where_it_stopped(
    visitor: Visitor, service: Service, tmp_path: Path
) -> None:
    large = tmp_path / "large.zip"
    large.write_bytes(bytes(range(256)) * 80_000)  # three chunks
    sent: list[int] = []

    def cut(route: Route) -> None:
        sent.append(int(route.request.headers["upload-offset"]))
        if len(sent) == 2:
            route.abort()
        else:
            route.continue_()

    visitor.open("upload")
    page = visitor.page
    page.route(
        "**/api/v1/uploads/up_*", lambda r: cut(r) if r.request.method == "PATCH" else r.continue_()
    )
    page.get_by_label("Logs").set_input_files(large)
    expect(page.get_by_text("has arrived as up_")).to_be_visible()
    page.unroute_all()
    assert sent == [0, 8 << 20, 8 << 20, 16 << 20]
    visitor.complaints = [c for c in visitor.complaints if "ERR_FAILED" not in c]


@pytest.mark.slow
def test_upload_waits_for_a_network_that_comes_back(
    visitor: Visitor, service: Service, tmp_path: Path
) -> None:
    """Nothing is reached for a while, not even the address that tells how much has arrived."""
    large = tmp_path / "patient.zip"
    large.write_bytes(bytes(range(256)) * 80_000)  # three chunks
    refused: list[str] = []

    def away(route: Route) -> None:
        sent = route.request.headers.get("upload-offset")
        if len(refused) < 4 and (refused or sent == f"{8 << 20}"):
            refused.append(route.request.method)
            route.abort()
        else:
            route.continue_()

    visitor.open("upload")
    page = visitor.page
    page.route("**/api/v1/uploads/up_*", away)
    page.get_by_label("Logs").set_input_files(large)
    expect(page.get_by_text("The connection was cut; trying again")).to_be_visible()
    expect(page.get_by_text("patient.zip has arrived as up_")).to_be_visible()
    page.unroute_all()
    assert refused == ["PATCH", "HEAD", "HEAD", "HEAD"]
    upload = page.get_by_text("patient.zip has arrived as up_").inner_text()
    (stored,) = [p for p in service.artifacts.root.glob("uploads/up_*") if p.name in upload]
    assert (stored / "data").read_bytes() == large.read_bytes()
    visitor.complaints = [c for c in visitor.complaints if "ERR_FAILED" not in c]


def test_form_makes_a_job_and_opens_it(visitor: Visitor, service: Service) -> None:
    visitor.open("train")
    page = visitor.page
    page.get_by_text("One job", exact=True).click()
    start = page.get_by_role("button", name="Start", exact=True)
    expect(start).to_have_count(1)  # what was drawn before goes when the script has ended
    page.get_by_role("textbox", name="Name").fill("from the browser")
    page.keyboard.press("Tab")
    # The estimate is drawn anew, and would move the button from under the mouse.
    expect(page.locator("[data-test-script-state='notRunning']")).to_be_visible()
    start.click()
    expect(visitor.heading).to_have_text("from the browser")
    job = service.store.list_jobs(limit=1)[0]
    assert (job.name, job.kind) == ("from the browser", Kind.GLOBAL_MODEL)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert service.store.get(job.id).state == "cancelled"


def test_live_curve_follows_the_trainer(
    visitor: Visitor, client: ServiceClient, service: Service, lab: Lab
) -> None:
    job, folder = makers.training(client, service.store, service.artifacts, lab.dataset, seed=5)
    makers.write_metrics(folder, 0, 60)
    visitor.open("jobs")
    visitor.page.get_by_role("link", name=job.name).first.click()
    newest = (
        "step => [...document.querySelectorAll('.js-plotly-plot')]"
        ".some(plot => plot.calcdata?.at(-1)?.at(-1)?.x === step)"
    )
    visitor.page.wait_for_function(newest, arg=59)
    lags = []
    for step in range(60, 65):
        written = time.monotonic()
        makers.write_metrics(folder, step, 1)
        visitor.page.wait_for_function(newest, arg=step, polling=20)
        lags.append(time.monotonic() - written)
    said(f"live curve lags by {', '.join(f'{lag:.2f}' for lag in lags)} s")


def test_reload_keeps_the_user_signed_in(visitor: Visitor) -> None:
    visitor.page.goto(f"{visitor.url}/models")
    expect(visitor.heading).to_have_text("Models")


def test_model_downloads_by_its_link(visitor: Visitor, lab: Lab) -> None:
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"{lab.policy}.zip"


def test_signing_out_forgets_the_token_in_the_browser_too(visitor: Visitor) -> None:
    visitor.open("home")
    visitor.page.get_by_role("button", name="Sign out").click()
    expect(visitor.heading).to_have_text("foglab")
    visitor.page.reload()
    expect(visitor.heading).to_have_text("foglab")
    visitor.page.wait_for_timeout(500)
    assert visitor.page.evaluate("sessionStorage.getItem('foglab-token')") is None


def test_nothing_went_wrong_in_the_browser(visitor: Visitor) -> None:
    assert visitor.complaints == []
