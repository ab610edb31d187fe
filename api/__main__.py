"""`python -m api`: the API under uvicorn, with JSON logs on standard error."""

import argparse
import json
import logging
import socket
import sys
from datetime import UTC, datetime
from ipaddress import ip_address

import uvicorn

from api.main import create_app

_EXTRA = ("request_id", "method", "path", "status", "ms")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: no text in a field can forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def main() -> None:
    """Serve until a signal; open event streams get 3 s to end."""
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="listening socket to serve on, instead of a port")
    options = parser.parse_args()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Not uvicorn's own fd option: it takes the socket for a Unix one and leaves Nagle's delay on.
    sockets = None if options.fd is None else [socket.socket(fileno=options.fd)]
    host = options.host if sockets is None else sockets[0].getsockname()[0]
    config = uvicorn.Config(
        create_app(loopback=host == "localhost" or ip_address(host).is_loopback),
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        ws="websockets-sansio",
        ws_max_size=1 << 20,
        ws_per_message_deflate=False,  # pixels: it would cost more time than it saves
        # X-Forwarded-… is believed only from a proxy on this machine.
        forwarded_allow_ips="127.0.0.1",
    )
    uvicorn.Server(config).run(sockets)


if __name__ == "__main__":
    main()
