"""Prints what is installed as plain ``name==version`` lines, for ``constraints.txt``."""

from importlib.metadata import distributions

OURS = {"tidegauge", "tidegauge-client", "pip", "setuptools", "wheel"}


def main() -> None:
    """Print every installed distribution but our own, by name."""
    found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}
    print("# The versions that the tests ran with; written by `make constraints`.")
    for name in sorted(found.keys() - OURS):
        print(f"{name}=={found[name]}")


if __name__ == "__main__":
    main()
