"""The command line of the client: ``python -m tidegauge_client``."""

import sys

from tidegauge_client.spool_command import main

if __name__ == "__main__":
    sys.exit(main())
