"""How generated tests run: with no time limit per example, since these machines are shared."""

from hypothesis import settings

settings.register_profile("holdfast", deadline=None)
settings.load_profile("holdfast")
