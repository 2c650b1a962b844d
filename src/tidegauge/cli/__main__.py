"""``python -m tidegauge.cli``: the command line without its script."""

from tidegauge.cli import main

if __name__ == "__main__":
    main()
