"""Child processes of tests."""

import os


def unmeasured() -> dict[str, str]:
    """Return the environment without what makes `coverage` measure a child, which loads and writes files."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
