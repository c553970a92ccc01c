"""What can go wrong in the lab itself, apart from the checks it makes."""

from holdfast.errors import HoldfastError


class LabError(HoldfastError):
    """The lab could not be built or used."""


class Timeout(LabError):
    """Something that was waited for did not happen in time."""


class NotStarted(LabError):
    """A process did not come up."""


class PortInUse(LabError):
    """Another process holds a port that the lab needs."""


def told(error: HoldfastError) -> str:
    """An error and its mend, as lines for a terminal."""
    return f"error: {error}" + (f"\nmend: {error.mend}" if error.mend else "")
