"""Settings of the property tests."""

from __future__ import annotations

from hypothesis import settings

# A deadline is an absolute time; on a slow or busy machine it says nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
