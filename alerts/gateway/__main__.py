"""`python -m brakeline_gateway`."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
