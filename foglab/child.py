"""`foglab up` as a child process that is started again when it dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from foglab import tether
from foglab.client import ServiceClient
from foglab.locate import written_addresses, written_token
from foglab.transport import ServiceError

START_SECONDS = 90.0
STOP_SECONDS = 40.0


class StartError(Exception):
    """The service did not come up; the message says where its log is."""


class UpChild:
    """The service of one home. Once it was up it is kept up, at the same address, until `stop`."""

    def __init__(
        self, home: Path, options: Sequence[str] = (), environ: Mapping[str, str] = os.environ
    ) -> None:
        self.home = home
        self.log = home / "run" / "up.log"
        self._options = list(options)
        self._environ = {**environ, "FOGLAB_HOME": str(home)}
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, str]:
        """Start the service and wait until it is ready; returns its addresses."""
        self._process = self._spawn()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StartError(f"the service stopped at once; see {self.log}\n{self._last()}")
            addresses = written_addresses(self.home, by=self._process.pid)
            if "api_url" in addresses and is_ready(addresses["api_url"]):
                self._stay_at(addresses)
                self._keeper.start()
                return addresses
            time.sleep(0.2)
        self.stop()
        raise StartError(f"the service was not ready after {START_SECONDS:.0f} s; see {self.log}")

    def stop(self) -> None:
        """End the service and its children politely, by force if they do not go."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _stay_at(self, addresses: dict[str, str]) -> None:
        """Clients know the addresses by now: the next start must not choose others."""
        for option, name in (("--port", "api_url"), ("--dashboard-port", "dashboard_url")):
            if name in addresses and option not in self._options:
                self._options += [option, addresses[name].rsplit(":", 1)[-1].strip("/")]

    def _keep(self) -> None:
        while not self._stopping.wait(0.5):
            if self._process is not None and self._process.poll() is not None:
                self._process = self._spawn()
                self._stopping.wait(2.0)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        python = sys.executable
        command = [python, "-I", "-S", tether.__file__, str(os.getpid())]  # it ends when we do
        command += [python, "-m", "foglab.cli", "up", *self._options]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is for us alone: we stop the service when it is time.
                start_new_session=True,
            )

    def _last(self) -> str:
        with self.log.open("r", errors="replace") as log:
            return _last_lines(log)


def is_ready(url: str) -> bool:
    """Whether a service answers there and can work."""
    with ServiceClient(url, None, timeout=5, patience=0) as client:
        try:
            client.ready()
        except ServiceError:
            return False
    return True


def running_service(home: Path) -> dict[str, str]:
    """Addresses of a service of this home that answers now; empty if there is none."""
    addresses = written_addresses(home)
    known = "api_url" in addresses and written_token(home) is not None
    return addresses if known and is_ready(addresses["api_url"]) else {}


def _last_lines(log: IO[str], lines: int = 20) -> str:
    return "".join(log.readlines()[-lines:])
