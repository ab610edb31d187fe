"""`python -m worker.simulator`: serve until a signal; `--check` asks one that runs how it is."""

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys

from core.jobs.wire import simulator_socket
from core.logs import logs
from worker.simulator.device import Device
from worker.simulator.server import Server
from worker.simulator.settings import SimulatorSettings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker.simulator", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit code 0 if one answers")
    options = parser.parse_args()
    settings = SimulatorSettings()
    if options.check:
        return _check(settings)
    logs("json")
    asyncio.run(_serve(settings))
    return 0


async def _serve(settings: SimulatorSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    device = Device(settings)
    device.start()
    path = simulator_socket(settings.home)
    server = await Server(device).listen(path)
    logging.getLogger("foglab.simulator").info("listening on %s", path)
    await stopping.wait()
    server.close()  # sessions end with the process


def _check(settings: SimulatorSettings) -> int:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(simulator_socket(settings.home)))
        except OSError as error:
            print(f"the simulator does not answer: {error}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
