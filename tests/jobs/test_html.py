"""Replies in a notebook."""

from datetime import UTC, datetime
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from core.jobs.replies import Dataset, Job, Model, Reply, Rollout, RolloutItem

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVIL = st.text(st.sampled_from("<>&'\"/abc script")) | st.just("</td><script>alert(1)</script>")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.sources: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.sources += [value for name, value in attrs if name == "src"]


def shown(reply: Reply) -> Tags:
    tags = Tags()
    tags.feed(reply._repr_html_())
    return tags


def job(text: str, status: str = "running") -> Job:
    progress = {"done": 1, "total": 4, "message": text}
    return Job.model_validate(
        {
            "id": "job_1",
            "kind": "policy",
            "name": text,
            "status": status,
            "spec": {text: text},
            "result": {text: text},
            "error": text,
            "progress": progress,
            "created_at": NOW,
        }
    )


@given(EVIL)
def test_no_text_of_a_reply_becomes_markup(text: str) -> None:
    plain = {"div", "b", "table", "tr", "th", "td", "code", "span", "progress", "video", "figure"}
    common = {"id": "x_1", "name": text, "job_id": "job_1", "created_at": NOW}
    item = RolloutItem(n=0, kind=text, video_url=f"/v?{text}")
    for reply in (
        job(text),
        Dataset(**common, meta={"task": text, "units": {"a": text}}),
        Model(**common, kind=text, result={"a": text}),
        Rollout(**common, items=[item]),
    ):
        assert set(shown(reply).found) <= plain | {"figcaption"}


def test_a_job_shows_how_far_it_is_until_it_ends() -> None:
    assert "25 %" in job("x")._repr_html_()
    assert "progress" not in shown(job("x", "failed")).found


def test_videos_are_found_where_the_client_is() -> None:
    item = RolloutItem(n=0, kind="replay", video_url="/api/v1/a?sig=1&exp=2")
    rollout = Rollout(id="ro_1", name="a", job_id="j", created_at=NOW, items=[item])
    rollout._site = "http://here"
    assert shown(rollout).sources == ["http://here/api/v1/a?sig=1&exp=2"]
