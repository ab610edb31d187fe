"""A newcomer's whole way in real Chromium, with API, workers, broker, database and dashboard.

Upload → dataset → pipeline → curves → rollout → verdict → export, by clicks alone. Minutes long.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from core.envs.logs import make_logs
from dashboard.words import PAGES
from foglab.child import UpChild
from foglab.client import ServiceClient
from foglab.locate import written_token
from tests.dashboard.test_browser import CHROMIUM, Visitor, wait_for_videos

pytestmark = pytest.mark.slow
PATIENCE_MS = 600_000
LINE_SECONDS = 5400.0
"""A busy machine is slow, not wrong."""


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("lab")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FOGLAB_")}
    child = UpChild(home, environ=environ)
    try:
        yield {**child.start(), "token": written_token(home) or ""}
    finally:
        child.stop()


@pytest.fixture(scope="module")
def visitor(addresses: dict[str, str]) -> Iterator[Visitor]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        visitor = Visitor(page, addresses["dashboard_url"])
        page.goto(f"{visitor.url}/?token={addresses['token']}")
        expect(visitor.heading).to_have_text("Home")
        yield visitor
        browser.close()


@pytest.fixture(scope="module")
def client(addresses: dict[str, str]) -> Iterator[ServiceClient]:
    with ServiceClient(addresses["api_url"], addresses["token"], patience=60) as client:
        yield client


def test_an_empty_lab_says_how_to_start(visitor: Visitor) -> None:
    expect(visitor.page.get_by_text("Start with robot logs.")).to_be_visible()
    for name in PAGES:
        visitor.open(name)
        expect(visitor.page.get_by_test_id("stException")).to_have_count(0)


def test_logs_become_a_dataset(visitor: Visitor, tmp_path: Path) -> None:
    logs = tmp_path / "robot.zip"
    make_logs("push_disc", 12, logs, image_size=64)
    visitor.open("upload")
    page = visitor.page
    page.get_by_label("Logs").set_input_files(logs)
    expect(page.get_by_text("12 episodes")).to_be_visible()  # what the look inside has found
    page.get_by_test_id("stExpander").get_by_text("Settings").click()
    page.get_by_role("spinbutton", name="Image size").fill("32")
    page.get_by_role("button", name="Make a dataset").click()
    page.get_by_role("link", name="Open the dataset").click()
    expect(visitor.heading).to_have_text("Datasets")
    wait_for_videos(page, 1)


def test_the_line_runs_and_its_curves_are_drawn(visitor: Visitor, client: ServiceClient) -> None:
    page = visitor.page
    visitor.open("train")
    choose(page, "Preset", "smoke")
    choose(page, "Task", "push_disc")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    line = client.jobs(kind="global_model")[0].pipeline_id
    jobs = client.wait([j.id for j in client.jobs(pipeline=line)], timeout=LINE_SECONDS, every=3)
    assert {j.status for j in jobs} == {"succeeded"}, [j.error for j in jobs]
    assert all(j.cost is not None for j in jobs)
    figures = client.evaluations()[0].result
    assert {"action_gain", "reward_calibration_error", "matched_gap"} <= figures.keys()


def test_rollouts_play_real_imagined_and_dreamed_in_step(visitor: Visitor) -> None:
    visitor.open("rollouts")
    wait_for_videos(visitor.page, 4)
    choose(visitor.page, "Shown", "the policy, in both worlds")
    wait_for_videos(visitor.page, 3)


def test_the_gate_gives_a_verdict(visitor: Visitor) -> None:
    visitor.open("gate")
    expect(visitor.page.get_by_text("Action sensitivity").first).to_be_visible()
    expect(visitor.page.locator(".js-plotly-plot")).to_have_count(5)


def test_the_world_is_driven_by_hand_in_the_page(visitor: Visitor) -> None:
    visitor.open("play")
    played = visitor.page.frame_locator("iframe")
    expect(played.locator("#status")).not_to_contain_text("connecting")
    before = played.locator("#reward").inner_text()
    played.locator("#once").click()
    expect(played.locator("#reward")).not_to_have_text(before)


def test_what_was_played_by_hand_becomes_a_dataset(visitor: Visitor, client: ServiceClient) -> None:
    played = visitor.page.frame_locator("iframe")
    count = played.locator("#stage-0 .count")
    played.locator("#record").click()
    for episode in range(2):
        expect(count).to_contain_text("0 /")
        for step in range(4):
            played.locator("#once").click()
            expect(count).to_contain_text(f"{step + 1} /")
        expect(played.locator("#recorded")).to_contain_text(f"{4 * (episode + 1)} steps recorded")
        if episode == 0:
            played.locator("#reset").click()
    played.get_by_label("Name of the dataset").fill("played by hand")
    played.get_by_role("button", name="Save", exact=True).click()
    expect(played.locator("#recorded")).to_contain_text("Saved 2 episodes, 8 steps")
    (job,) = client.wait(client.jobs(kind="ingest")[0].id, timeout=LINE_SECONDS)
    assert (job.name, job.status) == ("played by hand", "succeeded"), job.error
    visitor.open("datasets")
    visitor.page.get_by_role("combobox", name="Dataset").click()
    visitor.page.get_by_role("option").filter(has_text="played by hand").click()
    wait_for_videos(visitor.page, 1)
    made = client.dataset(str(job.output_id))
    assert (made.name, made.episodes, made.frames) == ("played by hand", 2, 10)


def test_what_nothing_needs_is_deleted_in_the_page(visitor: Visitor, client: ServiceClient) -> None:
    (spare,) = [d for d in client.datasets() if d.name == "played by hand"]
    page = visitor.page
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_test_id("stPopoverBody")).to_contain_text(spare.id)
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text(spare.id)).to_have_count(0)
    assert spare.id not in [d.id for d in client.datasets()]


def test_the_policy_is_exported_and_downloaded(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    visitor.open("models")
    page.get_by_role("tab", name="Export").click()
    page.get_by_role("button", name="Export the policy").click()
    panel = page.get_by_role("tabpanel")
    with page.expect_download() as download:
        panel.get_by_role("link", name="Download").click()
    assert download.value.path().stat().st_size > 100_000


def test_the_next_launch_is_estimated_from_this_one(visitor: Visitor) -> None:
    visitor.open("train")
    expect(visitor.page.get_by_text("in all").first).to_be_visible()


def test_nothing_went_wrong_in_the_browser(visitor: Visitor) -> None:
    assert visitor.complaints == []


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option").filter(has_text=option).first.click()
