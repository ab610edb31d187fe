"""Sessions: whose they are, how many there may be, and when they end."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.jobs.simulation import Limits, Reset
from core.simulation.errors import Refused
from core.simulation.lanes import Lane, PolicyLane
from core.simulation.recording import Recording

_REMEMBERED = 4096


@dataclass(eq=False)
class Session:
    """An episode that somebody plays, or a policy that somebody asks."""

    id: str
    owner: str
    used: float
    """On the engine's clock."""
    policy: PolicyLane | None = None
    asked: Reset | None = None
    lane: Lane | None = None
    recording: Recording | None = None
    t: int = 0
    total: float = 0.0
    """Return so far."""
    ended: bool = False
    about: dict[str, Any] = field(default_factory=dict)

    def close(self) -> None:
        """Give back what the world holds."""
        if self.lane is not None:
            self.lane.close()


class Sessions:
    """Those of one simulator process; ids tell processes apart."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._boot = secrets.token_hex(4)
        self._open: dict[str, Session] = {}
        self._gone: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def of(self, owner: str) -> list[Session]:
        """The open ones of a caller."""
        return [s for s in self._open.values() if s.owner == owner]

    def new(self, owner: str) -> Session:
        """Raises `Refused` 429 at a limit."""
        self.sweep()
        mine, all_ = len(self.of(owner)), len(self._open)
        if mine >= self._limits.sessions_per_owner or all_ >= self._limits.sessions:
            told = (
                f"this token has {mine} of {self._limits.sessions_per_owner} sessions, the service "
                f"{all_} of {self._limits.sessions}: close those that are not needed; unused ones "
                f"expire after {self._limits.idle_seconds:.0f} s"
            )
            raise Refused(429, "Too many sessions", told)
        session_id = f"ses_{self._boot}{secrets.token_hex(16)}"
        session = Session(session_id, owner, self._clock())
        self._open[session_id] = session
        return session

    def get(self, owner: str, session_id: str) -> Session:
        """Raises `Refused` 404 for an unknown one, 410 for one that was there."""
        self.sweep()
        session = self._open.get(session_id)
        if session is not None and session.owner == owner:
            session.used = self._clock()
            return session
        gone = self._gone.get(session_id)
        if gone is not None and gone[0] == owner:
            raise Refused(410, "The session has ended", f"{gone[1]}: start a new one with a reset")
        if session is None and not session_id.startswith(f"ses_{self._boot}"):
            told = "the simulator was started anew since: start a new session with a reset"
            raise Refused(410, "The session has ended", told)
        raise Refused(404, "No such session", f"{session_id} is not known: start one with a reset")

    def end(self, session: Session, why: str) -> None:
        """Forget a session but for the reason."""
        if self._open.pop(session.id, None) is None:
            return
        session.close()
        self._gone[session.id] = (session.owner, why)
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)

    def sweep(self) -> None:
        """End those that were not used for too long."""
        limit = self._clock() - self._limits.idle_seconds
        for session in [s for s in self._open.values() if s.used < limit]:
            self.end(session, f"it was not used for {self._limits.idle_seconds:.0f} s")
