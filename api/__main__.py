"""`python -m api`: the API under uvicorn, with JSON logs on standard error (`core.logs`)."""

import argparse
import socket
from ipaddress import ip_address

import uvicorn

from api import server
from api.main import create_app
from core.logs import logs


def main() -> None:
    """Serve until a signal; open event streams get 3 s to end."""
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="listening socket to serve on, instead of a port")
    options = parser.parse_args()
    logs("json")
    # Not uvicorn's own fd option: it takes the socket for a Unix one and leaves Nagle's delay on.
    sockets = None if options.fd is None else [socket.socket(fileno=options.fd)]
    host = options.host if sockets is None else sockets[0].getsockname()[0]
    config = server.config(
        create_app(loopback=host == "localhost" or ip_address(host).is_loopback),
        host=options.host,
        port=options.port,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets)


if __name__ == "__main__":
    main()
