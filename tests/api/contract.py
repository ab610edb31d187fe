"""Schemathesis against the real service: `python -m tests.api.contract --cases 5000`.

All of its checks in all of its phases, on each database. Prints what was run, and ends with 1 if
any check failed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from api.main import create_app
from api.settings import Settings
from core.jobs.migrate import upgrade
from tests import postgres
from tests.api.conftest import Service, serve
from tests.api.walk import make_things

CONFIG = Path(__file__).with_name("schemathesis.toml")
PHASES = "examples,coverage,fuzzing,stateful"
DATABASES = ("sqlite", "postgresql")
SECONDS = 2
"""Longest answer that passes on a machine that has nothing else to do."""
STREAM_SECONDS = "15"
"""The events of a job that nobody works on are read for so long; on a slow machine all answers come."""


@dataclass(frozen=True)
class Outcome:
    """What one run of schemathesis did."""

    database: str
    cases: int
    failures: int
    code: int
    told: str


def run(service: Service, database: str, examples: int, *options: str) -> Outcome:
    """All checks on all operations, `examples` generated for each."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.ndjson"
        command = [
            *(str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIG)),
            *("run", f"{service.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {service.token}"),
            *("--checks", "all", "--phases", PHASES, "--max-examples", str(examples)),
            *(
                "--continue-on-failure",
                "--request-timeout",
                STREAM_SECONDS,
                "--suppress-health-check",
                "all",
            ),
            *("--report", "ndjson", "--report-ndjson-path", str(report), *options),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=CONFIG.parent, check=False
        )
    found = re.search(r"Test cases:\s*\n\s*([\d,]+) generated(?:, ([\d,]+) found)?", done.stdout)
    cases = int(found.group(1).replace(",", "")) if found else 0
    failures = int((found.group(2) or "0").split()[0].replace(",", "")) if found else -1
    return Outcome(database, cases, failures, done.returncode, done.stdout + done.stderr)


@contextmanager
def installation(database: str) -> Iterator[Service]:
    """A service of its own with one of everything in it."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=postgres.scratch())))
        url = f"sqlite:///{home}/foglab.db"
        if database == "postgresql":
            server = stack.enter_context(postgres.server())
            postgres.execute(server, "CREATE DATABASE contract")
            url = postgres.address(server, "contract")
        upgrade(url)
        limits = {"failed_logins_per_minute": 10**9, "requests_per_second": 1e9}
        app = create_app(
            Settings(home=home, database_url=url, upload_quota_bytes=1 << 30, **limits)
        )
        address = stack.enter_context(serve(app))
        service = Service(app, address, app.state.services.store.create_token("contract"))
        make_things(service)
        yield service


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="at least so many per database")
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--log", type=Path, help="file for what schemathesis said")
    options = parser.parse_args()
    bad = 0
    for database in options.database or DATABASES:
        with installation(database) as service:
            total, seed = 0, 0
            while total < options.cases:
                seed += 1
                limit = ("--seed", str(seed), "--max-response-time", str(SECONDS))
                outcome = run(service, database, 30, *limit)
                total += outcome.cases
                bad += outcome.failures
                told = {"database": database, "seed": seed, "cases": outcome.cases}
                say(json.dumps({**told, "failures": outcome.failures, "total": total}))
                if options.log:
                    with options.log.open("a") as log:
                        log.write(outcome.told)
                if outcome.cases == 0:
                    say(outcome.told)
                    return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
