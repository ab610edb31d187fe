"""The sender: tells webhooks of ended jobs, again and again until they take it."""

import hashlib
import hmac
import json
import logging
import time
from typing import Any

import httpx
from anyio import CapacityLimiter, create_task_group, sleep
from anyio.to_thread import run_sync

from api.addresses import Target, resolve
from core.jobs.errors import WebhookNotFound
from core.jobs.records import Delivery
from core.jobs.store import Store

log = logging.getLogger("foglab.webhooks")
TIMEOUT_SECONDS = 10.0
AT_ONCE = 4


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=…` over `<timestamp>.<body>`; a receiver makes the same and compares."""
    mac = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={mac.hexdigest()}"


class Sender:
    """Sends what is due; deliveries that fail come back after a pause, whoever sends them then."""

    def __init__(self, store: Store, *, private: bool, every: float) -> None:
        self._store, self._private, self._every = store, private, every
        self._limit = CapacityLimiter(AT_ONCE)

    async def run(self) -> None:
        """Until cancelled; a database that is away is asked again later."""
        while True:
            try:
                due = await run_sync(self._store.deliveries_due, limiter=self._limit)
                async with create_task_group() as group:
                    for delivery_id in due:
                        group.start_soon(self._in_thread, delivery_id)
            except Exception as error:  # what fails here must not take the API with it
                log.warning("webhooks: %s: %s", type(error).__name__, error)
            await sleep(self._every)

    async def _in_thread(self, delivery_id: str) -> None:
        await run_sync(self.deliver, delivery_id, limiter=self._limit)

    def deliver(self, delivery_id: str) -> None:
        """One try of one delivery, if no other sender has taken it."""
        delivery = self._store.take_delivery(delivery_id)
        if delivery is None:
            return
        try:
            hook = self._store.get_webhook(delivery.webhook_id)
        except WebhookNotFound:
            return  # removed meanwhile, and the delivery with it
        status, error = None, None
        try:
            status = self._post(resolve(hook.url, private=self._private), hook.secret, delivery)
            if not 200 <= status < 300:
                error = f"the receiver answered {status}"
        except (OSError, ValueError, httpx.HTTPError) as failed:
            error = f"{type(failed).__name__}: {failed}"[:500]
        self._store.end_try(delivery, status, error)

    def _post(self, target: Target, secret: str, delivery: Delivery) -> int:
        """Status of the answer, whose body is not read. Redirects are answers like others."""
        body = json.dumps(delivery.payload, separators=(",", ":")).encode()
        now = str(int(time.time()))
        host = f"[{target.ip}]" if ":" in target.ip else target.ip
        named = f"[{target.host}]" if ":" in target.host else target.host
        headers = {
            "Host": named if target.port in (80, 443) else f"{named}:{target.port}",
            "Content-Type": "application/json",
            "User-Agent": "foglab-webhook",
            "X-Foglab-Event": delivery.event,
            "X-Foglab-Delivery": delivery.id,
            "X-Foglab-Timestamp": now,
            "X-Foglab-Signature": signature(secret, now, body),
        }
        # The address that was checked is the one that is called; the certificate is the name's.
        extensions: dict[str, Any] = {"sni_hostname": target.host}
        url = f"{target.scheme}://{host}:{target.port}{target.path}"
        options: dict[str, Any] = {"headers": headers, "content": body, "extensions": extensions}
        with (
            httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client,
            client.stream("POST", url, **options) as response,
        ):
            return response.status_code
