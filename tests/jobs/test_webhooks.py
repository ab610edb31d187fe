"""What webhooks are told: written with the end of the job, taken by one sender at a time."""

from collections.abc import Callable

import pytest

from core.jobs.errors import WebhookNotFound
from core.jobs.records import JobState, NewArtifact
from core.jobs.spec import DeriveSpec, IngestSpec
from core.jobs.store import Store
from core.jobs.webhooks import BACK_OFF_SECONDS, LEASE_SECONDS
from tests.api.makers import upload


class Clock:
    """Stands still until it is told to go on."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told(database_url: str, open_store: Callable[..., Store], clock: Clock) -> Store:
    return open_store(database_url, clock=clock)


def queued(store: Store, name: str = "logs") -> str:
    return store.submit(IngestSpec(upload=upload(store), name=name), name).id


def running(store: Store) -> tuple[str, int]:
    job = store.claim(queued(store), "tests")
    assert job is not None
    return job.id, job.epoch


def test_every_end_is_told_to_every_webhook_of_the_project(told: Store) -> None:
    told.add_project("other")
    hooks = [told.add_webhook(f"https://{n}.example").id for n in "ab"]
    foreign = told.of("other").add_webhook("https://c.example").id
    good, bad, gone = running(told), running(told), queued(told)
    told.succeed(*good, {"psnr": 3.0}, NewArtifact())
    told.fail(*bad, "no disk")
    told.request_cancel(gone)
    for hook in hooks:
        found = told.list_deliveries(hook)
        assert [(d.job_id, d.event) for d in reversed(found)] == [
            (good[0], "job.succeeded"),
            (bad[0], "job.failed"),
            (gone, "job.cancelled"),
        ]
        job = found[1].payload["job"]
        assert isinstance(job, dict)
        assert (job["status"], job["error"], job["id"]) == ("failed", "no disk", bad[0])
        assert found[1].payload["id"] == found[1].id
    assert told.list_deliveries(foreign) == []
    assert hooks == [w.id for w in told.of("default").list_webhooks()]
    with pytest.raises(WebhookNotFound):
        told.of("other").get_webhook(hooks[0])


def test_jobs_that_end_with_another_are_told_too(told: Store) -> None:
    hook = told.add_webhook("https://a.example").id
    first = queued(told)
    dataset = told.get(first).output_id
    second = told.submit(DeriveSpec(dataset=dataset, name="b"), "b")
    told.request_cancel(first)
    assert told.get(second.id).state is JobState.CANCELLED
    assert {d.job_id for d in told.list_deliveries(hook)} == {first, second.id}


def test_a_delivery_is_taken_once_and_comes_back_if_its_sender_dies(
    told: Store, clock: Clock
) -> None:
    told.add_webhook("https://a.example")
    told.request_cancel(queued(told))
    (due,) = told.deliveries_due()
    assert told.take_delivery(due) is not None
    assert told.take_delivery(due) is None
    assert told.deliveries_due() == []
    clock.now += LEASE_SECONDS
    again = told.take_delivery(due)
    assert again is not None
    assert again.attempt == 2


def test_tries_come_later_and_later_and_end(told: Store, clock: Clock) -> None:
    hook = told.add_webhook("https://a.example").id
    told.request_cancel(queued(told))
    for pause in (*BACK_OFF_SECONDS, None):
        (due,) = told.deliveries_due()
        delivery = told.take_delivery(due)
        assert delivery is not None
        told.end_try(delivery, 500, "the receiver answered 500")
        if pause is not None:
            clock.now += pause - 0.001
            assert told.deliveries_due() == []
            clock.now += 0.002
    clock.now += 10 * max(BACK_OFF_SECONDS)
    assert told.deliveries_due() == []
    (ended,) = told.list_deliveries(hook)
    assert (ended.state, ended.attempt) == ("given_up", len(BACK_OFF_SECONDS) + 1)
    told.forget_deliveries(30)
    assert len(told.list_deliveries(hook)) == 1
    clock.now += 31 * 86_400
    told.forget_deliveries(30)
    assert told.list_deliveries(hook) == []


def test_a_late_answer_of_a_first_try_does_not_end_the_second(told: Store, clock: Clock) -> None:
    hook = told.add_webhook("https://a.example").id
    told.request_cancel(queued(told))
    (due,) = told.deliveries_due()
    slow = told.take_delivery(due)
    clock.now += LEASE_SECONDS
    quick = told.take_delivery(due)
    assert slow is not None
    assert quick is not None
    told.end_try(slow, 500, "too late")
    told.end_try(quick, 204, None)
    told.end_try(slow, 500, "too late")
    assert [d.state for d in told.list_deliveries(hook)] == ["delivered"]


def test_a_removed_webhook_is_told_nothing_more(told: Store) -> None:
    hook = told.add_webhook("https://a.example").id
    told.request_cancel(queued(told))
    told.remove_webhook(hook)
    assert told.deliveries_due() == []
    told.request_cancel(queued(told))
    with pytest.raises(WebhookNotFound):
        told.remove_webhook(hook)
