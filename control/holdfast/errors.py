"""Every error Holdfast raises on purpose. A class's docstring is its message for people."""


class HoldfastError(Exception):
    """Something went wrong in Holdfast."""

    #: What the reader can do about it; shown after the message by the command line.
    mend: str = ""

    def __init__(self, message: str | None = None, *, mend: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        if mend is not None:
            self.mend = mend


class SettingsError(HoldfastError):
    """The configuration file is missing or wrong."""


class InputError(HoldfastError):
    """A value that somebody typed or sent cannot be used."""


class DatabaseUnavailable(HoldfastError):
    """PostgreSQL cannot be reached."""


class EdgeStoreUnavailable(HoldfastError):
    """The edge store cannot be read or written."""

    mend = "see that the file is an edge store, who owns it, and its disk; 'holdfast doctor' looks further"


class TooManyCalls(HoldfastError):
    """The tenant has as many calls in progress as it may have."""


class EslError(HoldfastError):
    """The event socket failed."""


class EslProtocolError(EslError):
    """The peer sent bytes that are not an ESL frame."""


class EslDisconnected(EslError):
    """The event socket was closed."""


class EslTimeout(EslError):
    """The media server did not answer in time."""
