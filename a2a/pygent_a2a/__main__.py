"""`pygent-a2a`: the agents of the factory over A2A, without the rest of the suite on the same port."""

import sys

from pygent_a2a.alone import main

if __name__ == "__main__":
    sys.exit(main())
