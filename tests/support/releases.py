"""Which releases of the dependencies the tests run on."""

import os

import pytest

OLDEST = os.environ.get("TESTED_ENVIRONMENT") == "lowest"
"""Whether each dependency has its lower bound."""

NEWER_SDK = pytest.mark.skipif(OLDEST, reason="the oldest SDKs do not have the types that this test uses")
"""For tests that use an SDK to check what is sent or answered, not to send it."""
