"""Runs side by side, clones and lineages: pure parts, and the pages on a real API."""

from datetime import UTC, datetime
from typing import Any

from streamlit.testing.v1 import AppTest

from core.jobs.replies import Job, LineageNode
from core.jobs.spec import LocalModelSpec
from dashboard import charts, compare, lineage
from foglab.client import ServiceClient
from tests.dashboard import makers
from tests.dashboard.conftest import Service, links, opened, texts
from tests.dashboard.makers import Lab


def job(name: str, **fields: Any) -> Job:
    made = {"id": f"job_{name}", "kind": "policy", "name": name, "status": "succeeded", "spec": {}}
    return Job.model_validate(made | {"created_at": datetime.now(UTC)} | fields)


def test_only_fields_that_differ_are_shown() -> None:
    left = job("a", spec={"kind": "policy", "steps": 10, "channels": [32], "seed": 0})
    right = job("b", spec={"kind": "policy", "steps": 20, "channels": [32], "seed": 0})
    assert compare.spec_rows([left, right]) == [{"Field": "Steps", "a": "10", "b": "20"}]
    assert len(compare.spec_rows([left, right], all_fields=True)) == 3


def test_results_stand_side_by_side_with_their_intervals() -> None:
    left = job("a", result={"real_success": 0.5, "real_success_interval": [0.4, 0.6]})
    right = job("b", result={"psnr_1": 30.0})
    rows = compare.result_rows([left, right])
    assert rows[0] == {"Figure": "Real success", "a": "0.5 [0.4 to 0.6]", "b": "–"}
    assert (rows[1]["a"], rows[1]["b"]) == ("–", "30")


def test_runs_of_one_name_are_told_apart() -> None:
    pair = [job("a", id="job_000001"), job("a", id="job_000002")]
    assert len(set(compare.labels(pair).values())) == 2


def test_overlaid_curves_have_one_colour_each() -> None:
    series = {name: ([1, 2, 3], [0.1, 0.2, 0.3]) for name in "abc"}
    figure = charts.overlaid("loss", series)
    assert len({trace.line.color for trace in figure.data}) == 3


def test_lineage_is_drawn_from_logs_to_products_and_escapes_names() -> None:
    nodes = [
        LineageNode(id="up_1", kind="upload", name="<script>x", sha256="ab" * 32),
        LineageNode(id="ds_1", kind="ingest", name="d", job_id="job_1", made_from=["up_1"]),
        LineageNode(id="gm_1", kind="global_model", name="g", made_from=["ds_1"]),
    ]
    assert [[n.id for n in column] for column in lineage.columns(nodes, "gm_1")] == [
        ["up_1"],
        ["ds_1"],
        ["gm_1"],
    ]
    drawing = lineage.drawing(nodes, "gm_1")
    assert "<script>" not in drawing
    assert drawing.count("<b>") == 3
    assert drawing.count("→") == 2
    assert lineage.rows(nodes)[0]["SHA-256 of the logs"] == "ab" * 32
    assert lineage.rows(nodes)[1]["Page"] == "datasets?dataset=ds_1"


def test_a_crowded_lineage_shows_its_newest_and_the_chosen_one() -> None:
    nodes = [LineageNode(id="ds_1", kind="ingest", name="d")]
    nodes += [
        LineageNode(id=f"gm_{n}", kind="global_model", name="g", made_from=["ds_1"])
        for n in range(40)
    ]
    shown = [n.id for n in lineage.columns(nodes, "gm_3")[1]]
    assert len(shown) == lineage.MOST_ROWS
    assert {"gm_3", "gm_39"} <= set(shown)


def test_page_shows_differences_curves_and_results(
    app: AppTest, lab: Lab, service: Service
) -> None:
    runs = []
    for seed in (1, 2):
        spec = LocalModelSpec(dataset=lab.dataset, seed=seed)
        run = makers.finish(service.store, spec, f"run {seed}", {"loss": 1.0 / seed})
        folder = service.artifacts.run(run.id)
        folder.mkdir(parents=True)
        makers.write_metrics(folder, 0, 50)
        runs.append(run.id)
    opened(app, "compare", runs=",".join(runs))
    assert [t.value for t in app.title] == ["Compare runs"]
    tables = [t.value for t in app.table]
    assert tables[0].iloc[0].tolist() == ["Seed", "1", "2"]
    assert len(app.get("plotly_chart")) == 2
    assert {"run 1", "run 2"} <= set(links(app))


def test_clone_starts_from_the_spec_of_the_old_job(
    app: AppTest, lab: Lab, service: Service
) -> None:
    spec = LocalModelSpec(dataset=lab.dataset, global_model=lab.global_model, steps=77)
    old = makers.finish(service.store, spec, "old", {"loss": 1.0})
    opened(app, "train", clone=old.id)
    assert app.number_input(key=f"clone-{old.id}-steps").value == 77
    app.number_input(key=f"clone-{old.id}-seed").set_value(5)
    app.button(key="one_start").click().run()
    made = service.store.list_jobs(limit=1)[0]
    assert (made.name, made.spec) == ("old (clone)", {**spec.model_dump(), "seed": 5})


def test_estimate_is_scaled_from_past_runs(app: AppTest, lab: Lab, service: Service) -> None:
    opened(app, "train").segmented_control(key="what").set_value("One job").run()
    app.selectbox(key="kind").set_value("local_model").run()
    app.button(key="one_estimate").click().run()
    row = app.table[0].value.iloc[0]
    assert row["Job"] == "Local model"
    assert "past run" in row["From"]


def test_lineage_leads_from_logs_to_rollout_and_runs_again(
    app: AppTest, lab: Lab, service: Service, client: ServiceClient
) -> None:
    ids = {n.id for n in client.lineage_of(lab.dataset)}
    assert {lab.upload, lab.dataset, lab.global_model, lab.policy, lab.rollout} <= ids
    opened(app, "lineage", of=lab.policy)
    graph = next(h.proto.body for h in app.get("html") if "Lineage of" in h.proto.body)
    for used in (lab.dataset, lab.global_model, lab.policy, lab.rollout):
        assert used in graph
    app.button(key="again").click().run()
    made = service.store.list_jobs(limit=1)[0]
    before = service.store.get(client.model(lab.policy).job_id)
    assert (made.kind, made.spec) == (before.kind, before.spec)
    assert made.output_id != before.output_id
    assert "policy (again)" in [t.value for t in app.title]


def test_jobs_are_turned_page_by_page(app: AppTest, lab: Lab, service: Service) -> None:
    for n in range(25):
        makers.finish(service.store, LocalModelSpec(dataset=lab.dataset), f"many {n}", {})
    opened(app, "jobs")
    first = set(links(app))
    app.button(key="older").click().run()
    assert "Page 2" in texts(app)
    assert not first & {n for n in links(app) if "many" in n}
    app.button(key="newer").click().run()
    assert set(links(app)) == first
