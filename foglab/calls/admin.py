"""Tokens, workers, storage and webhooks."""

from collections.abc import Sequence

from core.jobs.replies import Delivery, NewToken, NewWebhook, Storage, Token, Webhook, Worker
from foglab.calls.base import API, Calls


class AdminCalls(Calls):
    """Administration; needs a token with the scope admin."""

    def tokens(self) -> list[Token]:
        """Tokens of the project, without their secrets."""
        return self._list(Token, f"{API}/tokens")

    def create_token(
        self, name: str, *, scopes: Sequence[str] = ("write",), days: float | None = None
    ) -> NewToken:
        """A new token; its `secret` cannot be read again."""
        body = {"name": name, "scopes": list(scopes), "days": days}
        made = self._transport.json("POST", f"{API}/tokens", json=body, repeat=False)
        return NewToken.model_validate(made)

    def revoke_token(self, token_id: str) -> Token:
        """Make a token useless from its next request on."""
        return Token.model_validate(self._object("DELETE", f"{API}/tokens/{token_id}"))

    def workers(self) -> list[Worker]:
        """Workers that were seen within a day."""
        return self._list(Worker, f"{API}/workers")

    def storage(self) -> Storage:
        """What takes up the disk, and what is free."""
        return self._get(Storage, f"{API}/storage")

    def webhooks(self) -> list[Webhook]:
        """Addresses that are told of the project's ended jobs, oldest first."""
        return self._list(Webhook, f"{API}/webhooks")

    def add_webhook(self, url: str) -> NewWebhook:
        """Tell `url` of every job that ends from now on; the secret is in the answer only."""
        answer = self._object("POST", f"{API}/webhooks", json={"url": url}, repeat=False)
        return NewWebhook.model_validate(answer)

    def remove_webhook(self, webhook_id: str) -> None:
        """Tell it nothing more."""
        self._transport.request("DELETE", f"{API}/webhooks/{webhook_id}")

    def deliveries(self, webhook_id: str, limit: int = 100) -> list[Delivery]:
        """What it was told, newest first."""
        return self._list(Delivery, f"{API}/webhooks/{webhook_id}/deliveries", limit=limit)

    def test_webhook(self, webhook_id: str) -> Delivery:
        """Tell it something that is about no job; `deliveries` says how it went."""
        path = f"{API}/webhooks/{webhook_id}/test"
        return Delivery.model_validate(self._object("POST", path, repeat=False))

    def resend(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Tell it once more."""
        path = f"{API}/webhooks/{webhook_id}/deliveries/{delivery_id}/resend"
        return Delivery.model_validate(self._object("POST", path, repeat=False))
