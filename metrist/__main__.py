"""`python -m metrist` is the `metrist` command."""

import sys

from metrist.cli import main

sys.exit(main())
