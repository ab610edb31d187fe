"""Why the simulator says no, in words for the caller."""


class Refused(Exception):
    """A request that cannot be done; `status` is HTTP's."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}")
        self.status, self.title, self.detail = status, title, detail
