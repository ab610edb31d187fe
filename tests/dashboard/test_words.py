"""How jobs, numbers and verdicts read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.jobs.replies import Job, Progress, RolloutItem
from core.jobs.spec import Kind
from dashboard import results, verdicts, words
from tests.dashboard.makers import figures

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def job(status: str, **fields: Any) -> Job:
    return Job.model_validate(
        {"id": "job_1", "kind": "policy", "name": "policy", "status": status, "spec": {}}
        | {"created_at": NOW}
        | fields
    )


def test_every_kind_has_a_name_and_an_explanation() -> None:
    assert set(words.KINDS) == set(words.KIND_HELP) == set(Kind)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"status": "running"}, "running"),
        ({"status": "running", "cancel_requested": True}, "stopping"),
        ({"status": "cancelled", "cancel_requested": True}, "cancelled"),
        ({"status": "queued", "waiting_for": ["job_2"]}, "waiting"),
        ({"status": "queued"}, "queued"),
    ],
)
def test_status_word_says_what_a_user_sees(fields: dict[str, Any], word: str) -> None:
    assert words.status(job(**fields)) == word
    assert word in words.COLORS


def test_progress_names_share_message_and_time_left() -> None:
    told = Progress(done=450, total=1500, message="denoiser", eta_seconds=95)
    assert words.progress(job("running", progress=told)) == "30% · denoiser · 1:35 left"
    assert words.progress(job("running")) == "starting"
    assert words.share(job("running", progress=Progress(done=7, total=0))) == 0
    assert words.share(job("succeeded")) == 1
    waiting = job("queued", waiting_for=["job_2", "job_3"])
    assert words.progress(waiting, {"job_2": "world"}) == "waits for world, job_3"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "just now"), (320, "5 min ago"), (7300, "2 h ago"), (200_000, "2026-01-29")],
)
def test_age_is_told_roughly(seconds: int, text: str) -> None:
    assert words.ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_numbers_have_as_many_digits_as_help() -> None:
    shown = {345_600: "345,600", 0.031234: "0.03123", 12345.6: "12,346", None: "–", True: "yes"}
    assert {value: words.number(value) for value in shown} == shown
    assert words.size(1_500_000) == "1.5 MB"


def test_results_table_pairs_figures_with_their_intervals() -> None:
    rows = {row["Figure"]: row for row in results.table(figures())}
    assert rows["Real success"]["95 % interval"] == "0.35 to 0.47"
    assert rows["PSNR at step 10, imagined (dB)"]["95 % interval"] == ""
    assert rows["PSNR at step 1, still picture (dB)"]["Value"] == "26"
    assert results.label("gradient_cosine_3") == "Gradient cosine over 3 steps"
    assert not any("interval" in name for name in rows)
    (nested,) = results.table({"dataset": {"episodes": 4}})
    assert nested["Figure"] == "Dataset: episodes"


def test_verdict_is_good_only_if_the_intervals_are_apart() -> None:
    found = figures()
    assert [v.tone for v in verdicts.verdicts(found)] == ["good", "good", "good"]
    close = found | {"random_return_interval": [5.0, 7.5]}
    assert verdicts.verdicts(close)[2].tone == "poor"
    assert "can't be told from random" in verdicts.verdicts(close)[2].text
    rare = found | {"real_success": 0.1}
    assert verdicts.verdicts(rare)[2].tone == "fair"


def test_verdict_on_a_policy_says_where_drawn_actions_do_better() -> None:
    found = figures() | {"real_success": 0.41, "sampled_success": 0.41}
    assert "drawn" not in verdicts.verdicts(found)[2].text
    better = found | {"sampled_success": 0.6, "real_passed": 0.46, "sampled_passed": 0.7}
    told = verdicts.verdicts(better)[2].text
    assert "With drawn actions it succeeds in 60%." in told
    assert "It goes nearly through the goal in 46%. With drawn actions it goes" in told


def test_verdict_on_imagination_compares_with_a_still_picture() -> None:
    assert "+" in verdicts.verdicts(figures())[0].text
    poor = {"psnr_1": 20.0, "static_psnr_1": 24.0}
    assert verdicts.verdicts(poor)[0].tone == "poor"
    far = figures() | {"psnr_20": 24.0, "static_psnr_20": 20.0}
    assert verdicts.verdicts(far)[0].tone == "good", "20 steps are more than training needs"
    fair = {"psnr_1": 26.0, "static_psnr_1": 24.0, "gradient_cosine": 0.2}
    assert [v.tone for v in verdicts.verdicts(fair)] == ["fair", "fair"]
    assert verdicts.verdicts({"psnr_1": None}) == []


def test_rollout_gain_ignores_steps_that_were_not_measured() -> None:
    item = RolloutItem(
        n=0, kind="replay", psnr=[30.0, None, 28.0], static_psnr=[20.0, 5.0, 22.0], video_url="/v"
    )
    assert "8.0 dB closer" in (verdicts.rollout_gain(item) or "")
    assert verdicts.rollout_gain(item.model_copy(update={"kind": "policy"})) is None
    worse = item.model_copy(update={"psnr": [10.0], "static_psnr": [20.0]})
    assert "worse" in (verdicts.rollout_gain(worse) or "")
