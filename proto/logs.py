"""Configures the logs of every service alike: readable lines on a terminal, one JSON object a line elsewhere."""

import logging
import sys

import structlog

from proto.log_limit import BoundedHandler
from proto.settings import Settings


def configure_logging(settings: Settings, service: str) -> None:
    """Sends structlog and the standard library's logging (uvicorn, grpc, cassandra) to stderr, in one form.

    Call it once, when the process starts. Every line carries `service`.
    """
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if console else "iso", utc=not console),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # Only what is written gets its traceback made: a flood must cost little.
    rendering: list[structlog.typing.Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,  # no local variables: they can hold users' comments
            )
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = BoundedHandler(sys.stderr, settings.log_lines_per_s_max)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    # Their INFO lines are for their own developers. uvicorn warns once for each malformed request, so anybody could
    # flood the log from outside.
    for noisy in ("uvicorn.error", "uvicorn.access", "asyncio", "aiosqlite", "grpc"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # The driver logs a traceback for each failed attempt to connect. We get the same errors as exceptions, and the code
    # that uses the store logs once that it is away.
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)
