"""Every page against a real API: what it shows, and what its buttons do."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs.records import JobState
from core.jobs.spec import SPECS, Kind
from dashboard import words
from dashboard.words import HIDDEN, PAGES
from foglab.client import ServiceClient
from tests.dashboard import makers
from tests.dashboard.conftest import Service, links, opened, texts
from tests.dashboard.makers import Lab

# --- Signing in


def test_nothing_is_shown_without_a_token(visitor: AppTest, lab: Lab) -> None:
    visitor.run()
    assert [t.value for t in visitor.title] == ["foglab"]
    assert lab.dataset not in texts(visitor)
    visitor.text_input[0].set_value("fog_wrong")
    visitor.button[0].click().run()
    assert "does not accept" in visitor.error[0].value
    assert [t.value for t in visitor.title] == ["foglab"]


def test_typed_token_signs_in(visitor: AppTest, service: Service) -> None:
    visitor.run().text_input[0].set_value(f" {service.token} ")
    visitor.button[0].click().run()
    assert [t.value for t in visitor.title] == ["Home"]


def test_token_in_the_address_signs_in_and_leaves_the_address(app: AppTest) -> None:
    assert [t.value for t in app.title] == ["Home"]
    assert "token" not in app.query_params


def test_revoked_token_signs_out_with_a_reason(visitor: AppTest, service: Service) -> None:
    visitor.query_params["token"] = service.store.create_token("short-lived")
    visitor.run()
    token = next(t for t in service.store.list_tokens() if t.name == "short-lived")
    service.store.revoke_token(token.id)
    visitor.run()
    assert [t.value for t in visitor.title] == ["foglab"]
    assert "no longer accepts" in visitor.warning[0].value


def test_signing_out_forgets_the_token(app: AppTest) -> None:
    next(b for b in app.button if b.label == "Sign out").click().run()
    assert [t.value for t in app.title] == ["foglab"]


def test_service_that_is_down_is_told_in_words(
    visitor: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOGLAB_URL", "http://127.0.0.1:9")
    visitor.query_params["token"] = "fog_any"
    visitor.run()
    assert "does not answer" in visitor.error[0].value
    assert not visitor.exception


# --- Pages


@pytest.mark.parametrize("page", list(PAGES))
def test_page_draws_under_its_name(app: AppTest, lab: Lab, page: str) -> None:
    assert [t.value for t in opened(app, page).title] == [PAGES[page][0]]
    assert not app.error or page == "models"


def test_home_says_what_runs_and_what_failed_and_why(
    app: AppTest, lab: Lab, service: Service, client: ServiceClient
) -> None:
    _, folder = makers.training(client, service.store, service.artifacts, lab.dataset, seed=1)
    makers.write_metrics(folder, 0, 300)
    told = texts(opened(app, "home"))
    assert "Out of memory at step 1" in told
    assert "20% · denoiser · 1:35 left" in told
    assert {"**Global model**", "**Rollouts**"} <= set(links(app))


def test_dataset_report_names_file_episode_frame_and_fix(app: AppTest, lab: Lab) -> None:
    opened(app, "datasets", dataset=lab.dataset)
    app.session_state["dataset_tabs"] = "Report"
    app.run()
    assert "6 of 7 episodes" in texts(app)
    row = app.dataframe[0].value.iloc[0]
    assert row["File"] == "episode_99999.npz"
    assert (row["Episode"], row["Frame"]) == (6, 7)
    assert "action" in row["Problem"]
    assert row["What to do"]
    assert row["More"] == "formats?code=not_finite"
    assert "NaN or infinity" in opened(app, "formats", code="not_finite").info[0].value


def test_explanation_opens_in_a_tab_without_a_token(visitor: AppTest, service: Service) -> None:
    """As a link of a finding opens it; every other page asks for a token."""
    assert "NaN or infinity" in opened(visitor.run(), "formats", code="not_finite").info[0].value
    for name in {*PAGES, *HIDDEN} - {"formats"}:
        assert [t.value for t in opened(visitor, name).title] == ["foglab"], name


def test_dataset_statistics_show_histograms(app: AppTest, lab: Lab) -> None:
    opened(app, "datasets", dataset=lab.dataset)
    app.session_state["dataset_tabs"] = "Statistics"
    app.run()
    assert not app.exception
    assert "Every episode has **81 frames**" in texts(app)
    assert len(app.get("plotly_chart")) == 2 + 1 + 4 + 1  # actions, reward, state, coverage


def test_models_page_gives_verdicts_lineage_and_download(app: AppTest, lab: Lab) -> None:
    opened(app, "models", model=lab.policy)
    assert "clearly more than random" in app.success[2].value
    (button,) = app.get("link_button")
    assert f"/models/{lab.policy}/download?" in button.proto.url
    app.session_state["model_tabs"] = "Lineage"
    app.run()
    graph = next(h.proto.body for h in app.get("html") if "Lineage of" in h.proto.body)
    for used in (lab.dataset, lab.global_model, lab.local_model, "SHA-256"):
        assert used in graph


def test_models_page_shows_what_the_task_measures_beside_success(app: AppTest, lab: Lab) -> None:
    opened(app, "models", model=lab.policy)
    drawn = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    titles = [d["layout"]["title"]["text"] for d in drawn]
    judged = [t.removesuffix(" in the true simulator, 95 % intervals") for t in titles[1:]]
    assert judged == ["Success at the last step", "Largest coverage of the goal", "Return"]
    assert "this policy, actions drawn" in drawn[2]["data"][0]["y"]


def test_play_page_hands_model_and_token_to_the_frame(
    app: AppTest, lab: Lab, service: Service
) -> None:
    opened(app, "play", model=lab.global_model)
    (button,) = app.get("link_button")
    address, fragment = button.proto.url.split("#")
    assert address == f"{service.url}/play?model={lab.global_model}"
    assert fragment == f"token={service.token}"


def test_policies_and_data_are_exported_where_they_are_shown(
    app: AppTest, lab: Lab, service: Service
) -> None:
    opened(app, "models", model=lab.policy)
    app.session_state["model_tabs"] = "Export"
    app.run().button(key=f"export-{lab.policy}").click().run()
    opened(app, "datasets", dataset=lab.dataset)
    app.session_state["dataset_tabs"] = "Export"
    app.run().button(key=f"export-{lab.dataset}").click().run()
    newest = service.store.list_jobs(limit=2)
    assert [job.kind for job in newest] == [Kind.EXPORT, Kind.POLICY_EXPORT]
    assert [job.spec.get("source") or job.spec["policy"] for job in newest] == [
        lab.dataset,
        lab.policy,
    ]


# --- Jobs


def test_failed_job_shows_its_error_and_can_be_tried_again(
    app: AppTest, lab: Lab, service: Service
) -> None:
    job = makers.failed(service.store, lab.dataset, "broken")
    opened(app, "job", id=job.id)
    assert [t.value for t in app.title] == ["broken"]
    assert "Out of memory" in app.error[0].value
    app.button(key="Try again").click().run()
    assert not app.error
    assert service.store.get(job.id).state is JobState.QUEUED


def test_queued_job_is_cancelled_by_its_button(app: AppTest, lab: Lab, service: Service) -> None:
    job = service.store.submit(makers.LocalModelSpec(dataset=lab.dataset), "unwanted")
    opened(app, "job", id=job.id).button(key="Cancel").click().run()
    assert service.store.get(job.id).state is JobState.CANCELLED


def test_jobs_are_filtered_by_state_and_kind(app: AppTest, lab: Lab) -> None:
    opened(app, "jobs").segmented_control(key="shown").set_value("Failed").run()
    assert links(app)
    assert "succeeded" not in texts(app)
    app.selectbox(key="kind_shown").set_value("rollout").run()
    assert "No job is like that" in texts(app)


def test_unknown_job_is_told_in_words(app: AppTest) -> None:
    opened(app, "job", id="job_ffffffffffffffff")
    assert "No such job" in app.error[0].value


def test_running_job_shows_curves_log_and_spec(
    app: AppTest, lab: Lab, service: Service, client: ServiceClient
) -> None:
    job, folder = makers.training(client, service.store, service.artifacts, lab.dataset, seed=2)
    makers.write_metrics(folder, 0, 50)
    opened(app, "job", id=job.id)
    assert len(app.get("plotly_chart")) == 2
    app.session_state["job_tabs"] = "Log"
    assert "training" in app.run().code[0].value
    app.session_state["job_tabs"] = "Spec"
    assert lab.dataset in str(app.run().json[0].value)


# --- Training


def test_whole_line_is_queued_from_a_preset(app: AppTest, lab: Lab, service: Service) -> None:
    opened(app, "train")
    assert app.selectbox(key="line_task").value == "push_disc"
    app.selectbox(key="line_preset").set_value("smoke")
    app.number_input(key="line_seed").set_value(7)
    app.button(key="line_start").click().run()
    newest = service.store.list_jobs(limit=5)
    assert {job.kind for job in newest} == set(Kind) - set(map(Kind, words.DATA_KINDS))
    assert all(job.spec["seed"] == 7 for job in newest)
    assert [t.value for t in app.title] != ["Train"], "the first job's page is open"


@pytest.mark.parametrize("kind", [k for k in Kind if k not in words.DATA_KINDS])
def test_form_of_each_kind_has_a_widget_for_every_field(app: AppTest, lab: Lab, kind: Kind) -> None:
    opened(app, "train").segmented_control(key="what").set_value("One job").run()
    app.selectbox(key="kind").set_value(kind.value).run()
    groups = (app.selectbox, app.number_input, app.text_input, app.checkbox)
    widgets = {w.key for group in groups for w in group}
    wanted = {f"{kind.value}-None-{name}" for name in SPECS[kind].model_fields if name != "kind"}
    assert wanted <= widgets


def test_training_may_go_on_from_a_model_of_its_kind(
    app: AppTest, lab: Lab, service: Service
) -> None:
    opened(app, "train").segmented_control(key="what").set_value("One job").run()
    app.selectbox(key="kind").set_value("local_model").run()
    start = app.selectbox(key="local_model-None-start_from")
    assert (start.value, len(start.options)) == (None, 2)
    start.set_value(lab.local_model)
    app.button(key="one_start").click().run()
    assert service.store.list_jobs(limit=1)[0].spec["start_from"] == lab.local_model


def test_changed_fields_reach_the_spec_of_the_job(app: AppTest, lab: Lab, service: Service) -> None:
    opened(app, "train").segmented_control(key="what").set_value("One job").run()
    app.selectbox(key="kind").set_value("global_model").run()
    app.text_input(key="global_model-None-channels").set_value("32, 48")
    app.number_input(key="global_model-None-learning_rate").set_value(0.0007)
    app.text_input(key="global_model-None-name").set_value("narrow")
    app.button(key="one_start").click().run()
    job = service.store.list_jobs(limit=1)[0]
    assert (job.name, job.spec["channels"]) == ("narrow", [32, 48])
    assert job.spec["learning_rate"] == pytest.approx(0.0007)
    assert [t.value for t in app.title] == ["narrow"]


def test_goal_frames_are_typed_as_episode_and_frame(
    app: AppTest, lab: Lab, service: Service
) -> None:
    opened(app, "train")
    app.selectbox(key="line_preset").set_value("smoke")
    app.selectbox(key="line_reward").set_value("ranking")
    app.button(key="line_start").click().run()
    assert "episode:frame" in texts(app), "ranking needs goals"
    app.text_input(key="line_goals").set_value("0:-1, 1")
    app.button(key="line_start").click().run()
    job = next(j for j in service.store.list_jobs(limit=5) if j.kind == Kind.GLOBAL_MODEL)
    assert job.spec["goals"] == [{"episode": 0, "frame": -1}, {"episode": 1, "frame": -1}]


def test_refused_field_is_told_where_it_was_typed(app: AppTest, lab: Lab, service: Service) -> None:
    before = service.store.list_jobs(limit=1)[0].id
    opened(app, "train").segmented_control(key="what").set_value("One job").run()
    app.selectbox(key="kind").set_value("global_model").run()
    app.number_input(key="global_model-None-sigma_std").set_value(-1.0)
    app.button(key="one_start").click().run()
    assert "greater than 0" in texts(app), "what the service said"
    app.text_input(key="global_model-None-channels").set_value("wide")
    app.button(key="one_start").click().run()
    assert "Whole numbers" in texts(app), "what can't be read"
    assert service.store.list_jobs(limit=1)[0].id == before
    assert app.number_input(key="global_model-None-sigma_std").value == -1.0, "nothing is lost"


# --- Uploading


def test_earlier_upload_is_chosen_and_ingested(app: AppTest, service: Service, lab: Lab) -> None:
    opened(app, "upload").selectbox(key="upload_id").set_value(lab.upload)
    app.text_input(key="name").set_value("once more")
    app.number_input(key="ingest-image_size").set_value(32)
    app.button(key="make").click().run()
    job = service.store.list_jobs(limit=1)[0]
    assert (job.kind, job.name, job.spec["image_size"]) == (Kind.INGEST, "once more", 32)
    assert [t.value for t in app.title] == ["once more"]


def test_a_look_into_an_upload_fills_the_form_and_maps_what_is_chosen(
    app: AppTest, service: Service, lab: Lab
) -> None:
    opened(app, "upload").selectbox(key="upload_id").set_value(lab.upload).run()
    app.button(key="look").click().run()
    assert "Looking into it" in texts(app)
    makers.work(service.store, service.artifacts, service.store.list_jobs(limit=1)[0])
    app.run()
    assert "**npz** · 7 episodes" in texts(app)
    assert app.selectbox(key="ingest-format").value == "npz"
    detection = service.store.list_jobs(limit=1)[0].output_id
    app.multiselect(key=f"map-{detection}-action").set_value(["action", "state"])
    app.text_input(key="name").set_value("both")
    app.button(key="make").click().run()
    job = service.store.list_jobs(limit=1)[0]
    assert (job.name, job.spec["mapping"]) == ("both", {"action": "action, state"})


def test_an_edited_dataset_is_asked_for_as_a_new_one(
    app: AppTest, service: Service, lab: Lab
) -> None:
    opened(app, "datasets", dataset=lab.dataset)
    app.session_state["dataset_tabs"] = "Edit"
    app.run()
    app.text_input(key="derive_name").set_value("better")
    app.button(key="derive").click().run()
    job = service.store.list_jobs(limit=1)[0]
    assert (job.kind, job.name, job.spec["dataset"]) == (Kind.DERIVE, "better", lab.dataset)
    assert [t.value for t in app.title] == ["better"]


def test_refused_setting_of_an_ingest_is_told_where_it_was_typed(
    app: AppTest, service: Service, lab: Lab
) -> None:
    opened(app, "upload").selectbox(key="upload_id").set_value(lab.upload)
    app.text_input(key="ingest-mapping").set_value("action=cmd_vel")
    app.button(key="make").click().run()
    assert "An object of names" in texts(app)
    app.text_input(key="ingest-mapping").set_value("")
    app.number_input(key="ingest-fps").set_value(-1.0)
    app.button(key="make").click().run()
    assert "greater than 0" in texts(app)


def test_upload_page_asks_for_a_file(app: AppTest, lab: Lab) -> None:
    opened(app, "upload").button(key="make").click().run()
    assert "Choose a file" in app.error[0].value


def test_upload_that_was_removed_meanwhile_is_told(
    app: AppTest, service: Service, lab: Lab
) -> None:
    late = service.store.register_upload(f"up_{7:032d}", "late.zip", 1, "0" * 64).id
    opened(app, "upload").selectbox(key="upload_id").set_value(late).run()
    app.text_input(key="name").set_value("late")
    service.store.remove_upload(late)
    app.button(key="make").click().run()
    assert not app.exception
    assert "Choose a file" in app.error[0].value
