"""What the store refuses, one class per reason."""

from collections.abc import Sequence


class StoreError(Exception):
    """Base of everything the store raises on purpose."""


class JobNotFound(StoreError, LookupError):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r}")
        self.job_id = job_id


class ArtifactNotFound(StoreError, LookupError):
    def __init__(self, artifact_id: str) -> None:
        super().__init__(f"there is no artifact {artifact_id!r}")
        self.artifact_id = artifact_id


class StillNeeded(StoreError):
    """It cannot be deleted: `by` says what is in the way."""

    def __init__(self, identifier: str, by: Sequence[str], why: str) -> None:
        shown = ", ".join(by[:5]) + (f" and {len(by) - 5} more" if len(by) > 5 else "")
        super().__init__(f"{identifier} is still needed, by {why}: {shown}")
        self.identifier, self.by = identifier, tuple(by)


class UploadNotFound(StoreError, LookupError):
    def __init__(self, upload_id: str) -> None:
        super().__init__(f"there is no finished upload {upload_id!r}")
        self.upload_id = upload_id


class TokenNotFound(StoreError, LookupError):
    def __init__(self, token_id: str) -> None:
        super().__init__(f"there is no token {token_id!r}")
        self.token_id = token_id


class ProjectNotFound(StoreError, LookupError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no project {name!r}; `foglab project add` makes one")
        self.name = name


class QuotaExceeded(StoreError):
    """The project's uploads would take more than its quota. All in bytes."""

    def __init__(self, size: int, used: int, quota: int) -> None:
        super().__init__(
            f"{size} bytes more would exceed the project's quota: {used} of {quota} are taken"
        )
        self.size, self.used, self.quota = size, used, quota


class UnknownInput(StoreError, ValueError):
    """A spec names an input that does not exist or is of another kind."""

    def __init__(self, field: str, identifier: str, reason: str) -> None:
        super().__init__(f"{field}: {identifier!r} {reason}")
        self.field = field
        self.identifier = identifier


class WebhookNotFound(StoreError):
    """There is no such webhook."""

    def __init__(self, webhook_id: str) -> None:
        super().__init__(f"there is no webhook {webhook_id!r}")


class IllegalTransition(StoreError):
    """The job is not in a state in which this can be done."""


class IdempotencyConflict(StoreError):
    """The idempotency key was used before, with another body."""

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key!r} was used before with another request body")
        self.key = key


class Lost(StoreError):
    """The claim is no longer ours: another epoch, or the job ended. Stop at once."""

    def __init__(self, job_id: str, epoch: int) -> None:
        super().__init__(f"claim {epoch} of {job_id} is no longer valid")
        self.job_id = job_id
        self.epoch = epoch


class StoreUnavailable(StoreError):
    """The database cannot be reached or is busy; nothing was changed, try again."""


class StoreFull(StoreUnavailable):
    """The disk of the database is full; nothing was changed."""
