"""Logging, to stderr and nowhere else: stdout belongs to the protocol.

Human lines on a terminal, JSON lines otherwise. Call `configure` before any MCP server is built: the SDK
installs a handler of its own (rich's, where rich is present) only when the root logger has none.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import TextIO

from pygent_shared.settings import Settings


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log record of this process to `stream` (stderr) in the configured form."""
    stream = stream or sys.stderr
    human = settings.log_format == "human" or (settings.log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if human else JsonLines())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    # Serving 2025-era hosts means using what 2026-07-28 deprecates.
    warnings.filterwarnings("ignore", message=".*deprecated as of 2026-07-28")
