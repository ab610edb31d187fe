"""The play page in real Chromium, on a real API and simulator with a model trained for a moment."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from api.main import create_app
from api.settings import Settings
from core.artifacts import Artifacts
from core.data.dataset import Dataset
from core.global_model.model import GlobalModel
from core.jobs.spec import GlobalModelSpec, IngestSpec, LocalModelSpec, PolicySpec
from core.jobs.store import Store
from core.recorder import NullRecorder
from core.training.global_model import train_denoiser
from tests.api.conftest import serve
from tests.api.makers import finish, upload
from tests.dashboard.conftest import free_port
from tests.simulation.makers import make_lab
from tests.simulation.serving import simulator
from tests.training.makers import global_spec

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 120_000


@dataclass
class Site:
    """What runs, and what the browser complained about."""

    url: str
    token: str
    store: Store
    artifacts: Artifacts
    model: str
    policy: str
    browser: Browser
    dashboard_port: int
    complaints: list[str] = field(default_factory=list)

    def visit(self, query: str = "", width: int = 1280) -> Page:
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, has_touch=width < 600
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{self.url}/play?model={self.model}&{query}#token={self.token}")
        expect(page.locator("#status")).to_have_class("status good")
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture(scope="module")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    assert Path(CHROMIUM).exists(), "install Debian's chromium"
    expect.set_options(timeout=PATIENCE_MS)
    home = tmp_path_factory.mktemp("home")
    shutil.copyfile(sqlite_template, home / "foglab.db")
    port = free_port()
    dashboards = (f"http://127.0.0.1:{port}",)
    app = create_app(Settings(home=home, cors_origins=dashboards))
    with serve(app) as url, simulator(home), sync_playwright() as playwright:
        store, artifacts = app.state.services.store, app.state.services.artifacts
        dataset = finish(store, IngestSpec(upload=upload(store), name="logs"), "logs", {}).output_id
        world = finish(store, GlobalModelSpec(dataset=dataset), "world", {}).output_id
        local = finish(store, LocalModelSpec(dataset=dataset), "local", {}).output_id
        spec = PolicySpec(dataset=dataset, global_model=world, local_model=local)
        policy = finish(store, spec, "pusher", {}).output_id
        make_lab(artifacts.root, dataset, world, policy)
        _train(artifacts, dataset, world, home / "checkpoints")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        token = store.create_token("player")
        yield Site(url, token, store, artifacts, world, policy, browser, port)
        browser.close()


def _train(artifacts: Artifacts, dataset_id: str, model_id: str, checkpoints: Path) -> None:
    model = GlobalModel.load(artifacts.model(model_id))
    dataset = Dataset.open(artifacts.dataset(dataset_id))
    spec = global_spec(dataset=dataset_id, steps=30)
    train_denoiser(spec, model, dataset, NullRecorder(), checkpoints)
    model.save(artifacts.model(model_id))


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """Signed in and ready; nothing may have been complained about afterwards."""
    site.complaints.clear()
    page = site.visit("seed=3")
    yield page
    page.context.close()
    assert site.complaints == []


def count(page: Page, stage: int = 0) -> int:
    """Steps that the picture shows."""
    return int(page.locator(f"#stage-{stage} .count").inner_text().split(" ")[0])


def wait_for_steps(page: Page, steps: int) -> None:
    page.wait_for_function(
        "n => parseInt(document.querySelector('#stage-0 .count').textContent) >= n", arg=steps
    )


def wait_for_pictures(page: Page, *, alike: bool) -> None:
    """Both stages show the same, or not; a stage is seen before its first frame has come."""
    page.wait_for_function(
        """alike => {
            const [a, b] = [0, 1].map(n => {
                const c = document.querySelector(`#stage-${n} canvas`);
                return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join();
            });
            return (a === b) === alike;
        }""",
        arg=alike,
    )


def picture(page: Page, stage: int = 0) -> list[int]:
    script = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    found: list[int] = page.locator(f"#stage-{stage} canvas").evaluate(script)
    return found


def action(page: Page) -> list[str]:
    return page.locator("#actions output").all_inner_texts()


def test_token_is_asked_for_and_leaves_the_address(site: Site) -> None:
    page = site.browser.new_context().new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{site.url}/play")
    page.get_by_label("Token").fill("fog_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The service does not accept this token.")
    page.get_by_label("Token").fill(site.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#status")).to_have_class("status good")
    page.reload()  # the tab remembers
    expect(page.locator("#status")).to_have_class("status good")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.context.close()
    handed = site.visit()
    expect(handed).to_have_url(f"{site.url}/play?model={site.model}&")
    handed.context.close()


def test_keys_drive_and_pause_and_step_and_reset(page: Page) -> None:
    first = picture(page)
    page.keyboard.press(".")
    page.keyboard.down("d")
    wait_for_steps(page, 5)
    assert action(page) == ["1.00", "0.00"]
    assert picture(page) != first
    page.keyboard.down("ArrowUp")
    page.keyboard.up("d")
    wait_for_steps(page, count(page) + 3)
    assert action(page) == ["0.00", "−1.00"]
    page.keyboard.up("ArrowUp")
    page.keyboard.press(".")
    expect(page.locator("#status")).to_have_text("paused")
    stopped = count(page)
    page.keyboard.press("e")
    wait_for_steps(page, stopped + 1)
    assert count(page) == stopped + 1
    page.keyboard.press("Enter")
    expect(page.locator("#stage-0 .count")).to_have_text(re.compile("^0 / 50"))
    assert picture(page) == first  # the seed is given


def test_dragging_acts_by_how_far(page: Page) -> None:
    box = page.locator("#stage-0 canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.press(".")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"] * 0.14, y)
    wait_for_steps(page, count(page) + 3)
    assert action(page) == ["−0.50", "0.00"]
    page.mouse.up()
    wait_for_steps(page, count(page) + 3)
    assert action(page) == ["0.00", "0.00"]


def test_a_gamepad_drives_by_how_far_and_its_buttons_do_what_keys_do(page: Page) -> None:
    page.evaluate(
        """() => {
          window.pad = { connected: true, axes: [0.5, -0.05, 1, 1], buttons: [] };
          for (let n = 0; n < 17; n++) pad.buttons.push({ pressed: false });
          navigator.getGamepads = () => [null, pad];
        }"""
    )

    def press(button: int) -> None:
        page.evaluate("n => { pad.buttons[n].pressed = true }", button)
        page.wait_for_timeout(100)
        page.evaluate("n => { pad.buttons[n].pressed = false }", button)

    press(9)  # Start
    wait_for_steps(page, 3)
    assert action(page) == ["0.50", "0.00"]  # a stick at rest is never quite at 0
    press(9)
    expect(page.locator("#status")).to_have_text("paused")
    stopped = count(page)
    press(0)
    wait_for_steps(page, stopped + 1)
    assert count(page) == stopped + 1
    press(1)
    expect(page.locator("#stage-0 .count")).to_have_text(re.compile("^0 / 50"))


def test_the_policy_takes_over(page: Page, site: Site) -> None:
    page.keyboard.press("m")
    expect(page.get_by_role("button", name="Policy drives")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_steps(page, 3)
    assert action(page) != ["0.00", "0.00"]


def test_both_worlds_start_alike_and_get_the_same_actions(page: Page) -> None:
    page.get_by_role("button", name="Both", exact=True).click()
    expect(page.locator("#stage-1")).to_be_visible()
    wait_for_pictures(page, alike=True)
    page.keyboard.press("e")
    wait_for_steps(page, 1)
    wait_for_pictures(page, alike=False)
    page.get_by_role("button", name="True simulator", exact=True).click()
    expect(page.locator("#stage-1")).to_be_hidden()
    expect(page.locator("#stage-0 .world")).to_have_text("True simulator")
    page.keyboard.press("n")
    expect(page.locator("#stage-0 .world")).to_have_text("World model")


def test_the_horizon_ends_an_episode(page: Page) -> None:
    page.get_by_label("Horizon, steps").fill("4")
    page.get_by_label("Horizon, steps").press("Tab")
    page.get_by_label("Begin the next episode by itself").uncheck()
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".curtain b")).to_have_text("4 steps are over")
    assert count(page) == 4
    page.locator("#stage-0 canvas").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stage-0 .count")).to_contain_text("0 / 4")


def test_a_recording_is_saved_as_a_dataset(page: Page, site: Site) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#stage-0 .rec")).to_be_visible()
    for steps in (3, 6):
        page.keyboard.press("Enter")
        for n in range(3):
            page.keyboard.press("e")
            wait_for_steps(page, n + 1)
        expect(page.locator("#recorded")).to_contain_text(f"{steps} steps recorded")
    page.get_by_label("Name of the dataset").fill("played by hand")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#recorded")).to_contain_text("Saved 2 episodes, 6 steps")
    job = site.store.list_jobs(limit=1)[0]
    assert (job.kind, job.name) == ("ingest", "played by hand")


def test_a_deleted_model_is_told_and_the_page_lives_on(page: Page, site: Site) -> None:
    spec = GlobalModelSpec(dataset=site.store.get(_job(site)).spec["dataset"])
    copy = finish(site.store, spec, "doomed", {}).output_id
    shutil.copytree(site.artifacts.model(site.model), site.artifacts.model(copy))
    page.reload()
    expect(page.locator("#status")).to_have_class("status good")
    page.locator("#model").select_option(copy)
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_steps(page, 2)
    shutil.rmtree(site.artifacts.model(copy))
    expect(page.locator(".curtain b")).to_contain_text(f"{copy} was deleted")
    page.locator("#model").select_option(site.model)
    expect(page.locator("#status")).to_have_class("status good")
    page.keyboard.press("e")
    wait_for_steps(page, 1)


def _job(site: Site) -> str:
    return site.store.get_artifact(site.model).job_id


def test_the_page_works_on_a_phone(site: Site) -> None:
    page = site.visit("seed=1", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Play", exact=True).tap()
    wait_for_steps(page, 3)
    small = page.locator("button:not(.link):visible").evaluate_all(
        "all => all.filter(b => b.getBoundingClientRect().height < 39).map(b => b.textContent)"
    )
    assert small == []
    page.context.close()


def test_axe_finds_nothing_serious(site: Site) -> None:
    for query, width in (("", 1280), ("world=both", 390)):
        page = site.visit(query, width)
        page.evaluate("document.querySelectorAll('details').forEach(d => (d.open = true))")
        found = Axe().run(page).response["violations"]
        serious = [v for v in found if v["impact"] in {"serious", "critical"}]
        assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == []
        page.context.close()
    page = site.browser.new_context(color_scheme="dark").new_page()
    page.goto(f"{site.url}/play")
    page.wait_for_selector("#login:not([hidden])")
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []
    page.context.close()


def test_only_dashboards_may_show_the_page_in_a_frame(site: Site) -> None:
    for path in ("/play", "/play/play.js", "/play/play.css"):
        answer = httpx.get(site.url + path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert f"frame-ancestors 'self' http://127.0.0.1:{site.dashboard_port}" in policy
    assert "x-frame-options" not in httpx.get(f"{site.url}/play").headers
    page = site.browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    for port, shown in ((site.dashboard_port, 1), (0, 0)):
        with serve(embedder(f"{site.url}/play"), port) as origin:
            page.goto(origin)
            page.wait_for_function("window.loaded")
            assert page.frames[1].locator("#login").count() == shown
    page.close()


def embedder(address: str) -> FastAPI:
    """A page that shows another in a frame."""
    app = FastAPI()
    frame = f'<iframe src="{address}" onload="window.loaded = true"></iframe>'
    app.add_api_route("/", lambda: HTMLResponse(frame))
    return app
