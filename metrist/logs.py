"""What a process says: one past-tense event a line, for people or for machines."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

from domain.settings import Settings

QUIET = ("uvicorn.error", "apscheduler", "rq.worker", "httpx", "httpx2", "httpcore2", "authlib", "alembic", "asyncio")
"""Libraries that tell at *info* what we tell better or not at all."""


def configure(settings: Settings, stream: TextIO = sys.stderr) -> None:
    """Send our own events and the libraries' log records through the same road to `stream`."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(settings.log_format, stream))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(log_format: str, stream: TextIO) -> logging.Formatter:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    end: list[Processor] = (
        [remove, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [remove, _console(colors=stream.isatty())]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name], processors=end
    )


def _console(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )
