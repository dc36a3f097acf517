"""`python -m pygent_registry.cli`: the command `pygent`, where its script is not on the PATH."""

import sys

from pygent_registry.cli import main

sys.exit(main())
