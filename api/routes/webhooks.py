"""Addresses that are told of ended jobs."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from api.addresses import Refused, resolve
from api.deps import CursorQuery, LimitQuery, ServicesDep, admin, known_id
from api.errors import Problem
from api.views import when
from core.jobs import records, replies
from core.jobs.outbox import PENDING
from core.jobs.replies import Reply

router = APIRouter(prefix="/webhooks", tags=["webhooks"], dependencies=[Depends(admin)])


class NewWebhook(BaseModel):
    """Where to POST the end of every job of the project."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=8, max_length=2000, description="http:// or https://, public")


class WebhookPage(Reply):
    """All webhooks of the project."""

    items: list[replies.Webhook]


class DeliveryPage(Reply):
    """One page; `next` is the cursor of the page after it."""

    items: list[replies.Delivery]
    next: int | None


@router.get("")
def list_webhooks(s: ServicesDep) -> WebhookPage:
    """Oldest first, without their secrets."""
    return WebhookPage(items=[_webhook(w) for w in s.store.list_webhooks()])


@router.post("", status_code=201)
def add_webhook(body: NewWebhook, s: ServicesDep) -> replies.NewWebhook:
    """Tell an address from now on. Its secret is in this answer and never again."""
    try:
        resolve(body.url, private=s.settings.webhook_private)
    except Refused as error:
        errors = [{"field": "url", "message": str(error)}]
        raise Problem(422, "The address is refused", str(error), errors=errors) from None
    except (OSError, UnicodeError):
        pass  # a name that is not known yet is looked up again for each delivery
    made = s.store.add_webhook(body.url)
    return replies.NewWebhook(secret=made.secret, **_webhook(made).model_dump())


@router.delete("/{webhook_id}", status_code=204)
def remove_webhook(webhook_id: str, s: ServicesDep) -> None:
    """Tell it nothing more, and forget what it was told."""
    s.store.remove_webhook(known_id(webhook_id))


@router.get("/{webhook_id}/deliveries")
def list_deliveries(
    webhook_id: str, s: ServicesDep, limit: LimitQuery = 100, cursor: CursorQuery = None
) -> DeliveryPage:
    """What was told and what will be, newest first; ended ones are kept for 30 days."""
    hook = s.store.get_webhook(known_id(webhook_id))
    found = s.store.list_deliveries(hook.id, cursor, limit)
    return DeliveryPage(
        items=[_delivery(d) for d in found],
        next=found[-1].seq if len(found) == limit else None,
    )


@router.post("/{webhook_id}/test", status_code=202)
def test_webhook(webhook_id: str, s: ServicesDep) -> replies.Delivery:
    """Tell it something that is about no job: the event `webhook.test`, signed like all others."""
    return _delivery(s.store.test_webhook(known_id(webhook_id)))


@router.post("/{webhook_id}/deliveries/{delivery_id}/resend", status_code=202)
def resend(webhook_id: str, delivery_id: str, s: ServicesDep) -> replies.Delivery:
    """Tell it once more, under the same id, with as many tries as the first time."""
    found = s.store.resend(known_id(webhook_id), known_id(delivery_id))
    if found is None:
        raise Problem(404, "No such delivery", f"{webhook_id} knows no {delivery_id} (any more)")
    return _delivery(found)


def _webhook(webhook: records.Webhook) -> replies.Webhook:
    return replies.Webhook(id=webhook.id, url=webhook.url, created_at=when(webhook.created_at))


def _delivery(delivery: records.Delivery) -> replies.Delivery:
    return replies.Delivery(
        id=delivery.id,
        job_id=delivery.job_id,
        event=delivery.event,
        state=delivery.state,
        attempt=delivery.attempt,
        status_code=delivery.status_code,
        error=delivery.error,
        next_try_at=when(delivery.not_before) if delivery.state == PENDING else None,
        created_at=when(delivery.created_at),
        ended_at=None if delivery.ended_at is None else when(delivery.ended_at),
    )
