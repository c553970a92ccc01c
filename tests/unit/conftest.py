"""What unit tests need before they are read: a KSR to import, and generated tests without a limit per example."""

import sys
from types import ModuleType

from hypothesis import settings

# kemi/ksr.py imports KSR, which exists inside Kamailio only; each test puts a strict double in its place.
sys.modules.setdefault("KSR", ModuleType("KSR"))

settings.register_profile("holdfast", deadline=None)  # these machines are shared
settings.load_profile("holdfast")
