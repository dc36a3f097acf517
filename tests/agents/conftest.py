"""Modules of this folder that tests share."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OTEL_INSTRUMENTATION_A2A_SDK_ENABLED", "false")  # before the SDK is imported
sys.path.append(str(Path(__file__).parent))
