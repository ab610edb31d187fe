"""What `foglab doctor` asks the programs of an installation: do they answer, do they agree?"""

import json
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from core.jobs import migrate
from core.jobs.environment import Environment
from core.jobs.errors import StoreError
from core.jobs.presence import alive, unserved
from core.jobs.store import Store
from core.jobs.wire import simulator_socket
from foglab.client import ServiceClient
from foglab.finding import Finding
from foglab.installation import state_file
from foglab.transport import ServiceError

SECONDS = 3
"""A program that answers at all answers sooner."""
MAX_CLOCK_SECONDS = 5.0
"""Wrong clocks harm no job (leases are counted by own clocks), but times on pages and logs."""


def running(environment: Environment, client: Callable[[], ServiceClient]) -> Iterator[Finding]:
    """Checks of the database, and of each program that should be there."""
    yield from _database(environment)
    yield _broker(environment)
    yield _simulator(environment)
    yield _service(client)
    yield from _dashboard(environment)


def _database(environment: Environment) -> Iterator[Finding]:
    try:
        found, newest = migrate.revisions(environment.database_url)
        if found is None:
            yield Finding("Database", False, "has no tables; `foglab up` makes them")
            return
        if found != newest:
            told = f"schema {found}, this program needs {newest}; stop all programs, then run "
            yield Finding("Database", False, told + "`python -m core.jobs.migrate`")
            return
        store = Store.open(environment.database_url)
        try:
            store.check_writable()
            counts = ", ".join(f"{n} {s}" for s, n in store.counts().items() if n) or "no jobs"
            yield Finding("Database", True, f"schema {newest}, can be written to; {counts}")
            yield _workers(store)
            yield _clock(store)
        finally:
            store.close()
    except StoreError as error:
        yield Finding("Database", False, f"{error}; check FOGLAB_DATABASE_URL")


def _workers(store: Store) -> Finding:
    there = alive(store.list_workers(), store.clock())
    if missing := unserved(there):
        way = f"`celery -A worker.app worker -Q {','.join(missing)}` or `foglab up` starts one"
        return Finding("Workers", False, f"none for {' and '.join(missing)}: such jobs wait; {way}")
    counts = Counter(q for w in there for q in w.queues)
    return Finding("Workers", True, ", ".join(f"{n} of {q}" for q, n in sorted(counts.items())))


def _clock(store: Store) -> Finding:
    ahead = store.seconds_ahead()
    if abs(ahead) > MAX_CLOCK_SECONDS:
        way = "ahead of" if ahead > 0 else "behind"
        told = f"{abs(ahead):.0f} s {way} the database's; let both follow a time server"
        return Finding("Clock", False, told)
    return Finding("Clock", True, f"agrees with the database's within {MAX_CLOCK_SECONDS:.0f} s")


def _broker(environment: Environment) -> Finding:
    if environment.broker_url.startswith(
        "redis+socket"
    ) and not environment.database_url.startswith("sqlite"):
        return Finding("Broker", True, "not this program's: it has no FOGLAB_BROKER_URL")
    from kombu import Connection  # where there is no broker, there need be no kombu
    from kombu.exceptions import KombuError

    options = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS}
    connection = Connection(environment.broker_url, transport_options=options)
    refusals: Any = connection.connection_errors
    try:
        with connection:
            connection.ensure_connection(max_retries=1, timeout=SECONDS)
            channel: Any = connection.default_channel
            version = channel.client.info("server")["redis_version"]
    except (OSError, KombuError, *refusals) as error:
        told = f"does not answer ({error}); workers look for jobs themselves, seconds later"
        return Finding("Broker", False, f"{told}; check FOGLAB_BROKER_URL, or `foglab up`")
    return Finding("Broker", True, f"Redis {version} answers")


def _simulator(environment: Environment) -> Finding:
    path = simulator_socket(environment.home)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(SECONDS)
            connection.connect(str(path))
    except OSError as error:
        told = f"{path} does not answer ({error.strerror}): no model can be played"
        return Finding("Simulator", False, f"{told}; `python -m worker.simulator` starts it")
    return Finding("Simulator", True, "answers")


def _service(client: Callable[[], ServiceClient]) -> Finding:
    try:
        with client() as service:
            ready = service.ready()
            service.jobs(limit=1)
    except ServiceError as error:
        return Finding("Service", False, str(error))
    wrong = [f"{k}: {v}" for k, v in ready["checks"].items() if v != "ok"]
    told = f"{service.url} answers and takes the token"
    return Finding("Service", not wrong, f"{told}; {'; '.join(wrong)}" if wrong else told)


def _dashboard(environment: Environment) -> Iterator[Finding]:
    """Only where `foglab up` started one: elsewhere, its address is not known here."""
    try:
        url = json.loads(state_file(environment.home).read_text())["dashboard_url"]
    except (OSError, ValueError, KeyError):
        return
    if url is None:
        return
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=SECONDS):
            took = time.monotonic() - began
        yield Finding("Dashboard", True, f"{url} answers in {1000 * took:.0f} ms")
    except (OSError, urllib.error.URLError) as error:
        yield Finding("Dashboard", False, f"{url} does not answer ({error})")
