"""The factory's agents over A2A, for every other agent platform, and theirs for us."""

import os

# mcp brings OpenTelemetry's API, and the SDK makes some sixty spans a request wherever that is.
os.environ.setdefault("OTEL_INSTRUMENTATION_A2A_SDK_ENABLED", "false")
