"""Webhooks of a project, and the deliveries that a sender takes, tries and ends."""

import secrets

from sqlalchemy import Connection, delete, exists, insert, select, update

from core.jobs.errors import WebhookNotFound
from core.jobs.ids import new_id
from core.jobs.outbox import DELIVERED, GIVEN_UP, PENDING, trial
from core.jobs.records import Delivery, Webhook
from core.jobs.rows import Rows
from core.jobs.tables import deliveries, webhooks

BACK_OFF_SECONDS = (10.0, 30.0, 120.0, 600.0, 3600.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
"""Pause after each try that failed; after the last one a delivery is given up."""
LEASE_SECONDS = 60.0
"""A sender that took a delivery and died is followed by another after this time."""


class Webhooks(Rows):
    """Who is told, and what became of it."""

    def add_webhook(self, url: str) -> Webhook:
        """A new webhook of this store's project, with the secret that signs its deliveries."""
        values = {
            "id": new_id("wh"),
            "project": self.own,
            "url": url,
            "secret": f"whs_{secrets.token_urlsafe(32)}",
            "created_at": self.clock(),
        }
        self.database.write(lambda c: c.execute(insert(webhooks).values(**values)))
        return Webhook.model_validate(values)

    def list_webhooks(self) -> list[Webhook]:
        """All that may be seen, oldest first."""
        query = select(webhooks).where(self.mine(webhooks)).order_by(webhooks.c.created_at)
        rows = self.database.read(lambda c: c.execute(query).all())
        return [Webhook.model_validate(r) for r in rows]

    def get_webhook(self, webhook_id: str) -> Webhook:
        """Raises `WebhookNotFound`."""
        query = select(webhooks).where(webhooks.c.id == webhook_id, self.mine(webhooks))
        row = self.database.read(lambda c: c.execute(query).first())
        if row is None:
            raise WebhookNotFound(webhook_id)
        return Webhook.model_validate(row)

    def remove_webhook(self, webhook_id: str) -> None:
        """With all that it was told and was still to be told. Raises `WebhookNotFound`."""
        found = self.get_webhook(webhook_id)

        def work(connection: Connection) -> None:
            connection.execute(delete(deliveries).where(deliveries.c.webhook_id == found.id))
            connection.execute(delete(webhooks).where(webhooks.c.id == found.id))

        self.database.write(work)

    def list_deliveries(
        self, webhook_id: str, cursor: int | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Newest first; `cursor` is the `seq` of the last one of the page before."""
        query = select(deliveries).where(deliveries.c.webhook_id == webhook_id)
        if cursor is not None:
            query = query.where(deliveries.c.seq < cursor)
        query = query.order_by(deliveries.c.seq.desc()).limit(limit)
        rows = self.database.read(lambda c: c.execute(query).all())
        return [Delivery.model_validate(r) for r in rows]

    def test_webhook(self, webhook_id: str) -> Delivery:
        """Queue something to tell that is about no job. Raises `WebhookNotFound`."""
        hook = self.get_webhook(webhook_id)
        values = trial(hook.id, self.clock())
        told = insert(deliveries).values(**values).returning(deliveries)
        return Delivery.model_validate(self.database.write(lambda c: c.execute(told).one()))

    def resend(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        """Tell it once more, under the same id, from now on; None if it is not known any more."""
        hook = self.get_webhook(webhook_id)
        mine = (deliveries.c.id == delivery_id) & (deliveries.c.webhook_id == hook.id)
        again = {"state": PENDING, "attempt": 0, "not_before": self.clock(), "ended_at": None}
        told = update(deliveries).where(mine).values(**again).returning(deliveries)
        row = self.database.write(lambda c: c.execute(told).first())
        return None if row is None else Delivery.model_validate(row)

    def deliveries_due(self, limit: int = 16) -> list[str]:
        """Ids of what is to be told now, the longest due first."""
        due = (deliveries.c.state == PENDING) & (deliveries.c.not_before <= self.clock())
        query = select(deliveries.c.id).where(due).order_by(deliveries.c.not_before).limit(limit)
        return [str(i) for (i,) in self.database.read(lambda c: c.execute(query).all())]

    def take_delivery(self, delivery_id: str) -> Delivery | None:
        """Start a try; None if another sender has, or it is not due."""
        now = self.clock()
        due = (deliveries.c.state == PENDING) & (deliveries.c.not_before <= now)
        statement = (
            update(deliveries)
            .where(deliveries.c.id == delivery_id, due)
            .values(attempt=deliveries.c.attempt + 1, not_before=now + LEASE_SECONDS)
            .returning(deliveries)
        )
        row = self.database.write(lambda c: c.execute(statement).first())
        return None if row is None else Delivery.model_validate(row)

    def end_try(self, delivery: Delivery, status_code: int | None, error: str | None) -> None:
        """Record how a try ended; without an error it is delivered, else there is a next one."""
        now, tries = self.clock(), delivery.attempt
        if error is None:
            values = {"state": DELIVERED, "ended_at": now}
        elif tries > len(BACK_OFF_SECONDS):
            values = {"state": GIVEN_UP, "ended_at": now}
        else:
            values = {"not_before": now + BACK_OFF_SECONDS[tries - 1]}
        same = (deliveries.c.id == delivery.id) & (deliveries.c.attempt == tries)
        statement = update(deliveries).where(same, deliveries.c.state == PENDING)
        told = statement.values(**values, status_code=status_code, error=error)
        self.database.write(lambda c: c.execute(told))

    def forget_deliveries(self, days: float) -> None:
        """Drop the log of what ended longer ago than this."""
        old = deliveries.c.ended_at < self.clock() - 86_400 * days
        query = select(exists().where(old))
        if self.database.read(lambda c: c.execute(query).scalar()):
            self.database.write(lambda c: c.execute(delete(deliveries).where(old)))
