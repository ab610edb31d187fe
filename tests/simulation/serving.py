"""A simulator process's parts in this process, and an API in front of it."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from core.jobs.wire import simulator_socket
from worker.simulator.device import Device
from worker.simulator.server import Server
from worker.simulator.settings import SimulatorSettings


class simulator:
    """Context: the simulator of a home, on its socket."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self._home = home
        self.settings = SimulatorSettings(home=home, simulator_threads=1, **settings)

    def __enter__(self) -> "simulator":
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self.device = Device(self.settings)
        self.device.start()

        async def listen() -> asyncio.Server:
            server = await Server(self.device).listen(simulator_socket(self._home))
            started.set()
            return server

        def run() -> None:
            server = self._loop.run_until_complete(listen())
            self._loop.run_forever()
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0.05))
            self._loop.close()

        self._thread = threading.Thread(target=run)
        self._thread.start()
        assert started.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self.device.stop()
        self.device.join()
