"""The verdict on a global model, and the page that gives it."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import gate
from foglab.client import ServiceClient
from tests.dashboard import makers
from tests.dashboard.conftest import Service, opened, texts
from tests.dashboard.makers import Lab, figures


def test_all_good_figures_are_a_yes() -> None:
    found = gate.gate(figures())
    assert (found.tone, found.answer, found.reasons) == ("good", "Yes.", [])
    assert {c.tone for c in found.checks} == {"good"}


@pytest.mark.parametrize(
    ("change", "tone", "named"),
    [
        ({"psnr": [20.0] * 20}, "poor", "Foresight"),
        ({"action_gain": 0.1, "action_gain_interval": [-0.2, 0.4]}, "poor", "Action sensitivity"),
        ({"action_gain": 0.4, "action_gain_interval": [0.2, 0.6]}, "fair", "Action sensitivity"),
        ({"reward_calibration_error": 0.9}, "poor", "Reward calibration"),
        ({"gradient_cosine": -0.1}, "poor", "Gradient cosine"),
        ({"matched_gap": 6.0, "matched_gap_interval": [5.0, 7.0]}, "poor", "Imagined against"),
    ],
)
def test_one_bad_figure_is_a_reason(change: dict[str, object], tone: str, named: str) -> None:
    found = gate.gate(figures() | change)
    assert found.tone == tone
    assert found.reasons[0].startswith(named)


def test_what_was_not_measured_is_never_a_yes_without_reserve() -> None:
    assert gate.gate(None).tone == "unknown"
    without = {k: v for k, v in figures().items() if not k.startswith("action_gain")}
    assert gate.gate(without).tone == "unknown"
    own_robot = {k: v for k, v in figures().items() if not k.startswith(("gradient", "matched"))}
    found = gate.gate(own_robot)
    assert (found.tone, found.answer) == ("good", "Yes, as far as it was measured.")
    assert len(found.reasons) == 2


def test_rewards_in_their_own_units_are_judged_by_rank() -> None:
    ranked = figures() | {"reward_calibration_error": None, "reward_vs_progress": 0.6}
    assert gate.gate(ranked).tone == "fair"


def test_steps_are_trusted_until_the_first_that_is_not_clearly_better() -> None:
    result = {"psnr": [30.0, 28.0, 22.0, 30.0], "static_psnr": [20.0] * 4}
    assert gate.trusted_steps(result) == 2


def test_page_gives_verdict_reasons_and_figures(app: AppTest, lab: Lab) -> None:
    opened(app, "gate", model=lab.global_model)
    assert "**Yes.**" in app.success[0].value
    assert len(app.get("plotly_chart")) == 5


def test_a_model_that_nobody_judged_is_evaluated_by_one_click(
    app: AppTest, lab: Lab, service: Service, client: ServiceClient
) -> None:
    spec = makers.GlobalModelSpec(dataset=lab.dataset)
    world = makers.finish(service.store, spec, "fresh", {"loss": 1.0})
    makers.model_folder(service.artifacts, world)
    opened(app, "gate", model=world.output_id)
    assert "Nobody can tell yet" in app.info[0].value
    app.button(key="evaluate").click().run()
    job = service.store.list_jobs(limit=1)[0]
    assert (job.kind, job.spec["global_model"]) == ("evaluate", world.output_id)
    assert (job.spec["dataset"], job.spec["task"]) == (lab.dataset, "push_disc")
    assert "fresh" in texts(app)
