"""Runs the app under uvicorn and ends it the way the other services end: running requests finish, then exit 0."""

import logging
import signal
from types import FrameType

import uvicorn

from ai_engine.app import create_app
from ai_engine.config import Config

log = logging.getLogger("ai_engine")


def serve(config: Config) -> int:
    """Serves until SIGTERM or SIGINT; the process's exit code."""
    app = create_app(config)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                log.info("started", extra={"fields": {"host": config.host, "port": config.port}})

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            # Before anything else: a probe that comes in on an open connection is told at once.
            app.state.draining = True
            super().handle_exit(sig, frame)

    server = Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=config.shutdown_seconds,
        )
    )
    # What is worth saying about starting and stopping is said here, with the fields of a log line.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # Once it has shut down, uvicorn raises the signal it got again; a stop that was asked for ends in 0 all the same.
    for expected in (signal.SIGTERM, signal.SIGINT):
        signal.signal(expected, lambda *_: None)
    try:
        server.run()
    except SystemExit:  # could not start, and said why: uvicorn's own code for that means something else here
        return 1
    log.info("stopped")
    return 0
