"""Builds the bytes of ESL commands, and the strings that FreeSWITCH applications take as their argument.

Whatever comes from a call (a number, a name, a header) is refused here with InputError if it could mean more than
itself: a line end starts a new header, `$` and a backslash start an expansion in every application's argument
(`switch_channel_expand_variables`), and commas, braces, brackets, quotes, `^` and `:_:` structure a dial string
(`switch_event_create_brackets`, `switch_separate_string`, `switch_ivr_originate`), which unescapes a value twice and
counts braces without regard to quotes. No quoting survives all of them, so nothing is quoted: values are made of
harmless characters only.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.errors import InputError

_LINE_END = re.compile(r"[\r\n\0]")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+(?:[ .][A-Za-z0-9_-]+)*")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_VARIABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
#: What means nothing to any of FreeSWITCH's parsers: neither to variable expansion nor to a dial string.
_HARMLESS = re.compile(r"[\w +.:;@/*#?!&%()~-]*")
_NOT_HARMLESS_IN_A_NAME = re.compile(r"[^\w +.;@/*#?!&()-]")
_ENDPOINT = re.compile(r"[\w+.:/-]+@(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
_MEDIA = re.compile(r"/[\w ./+-]+|silence_stream://[0-9]+")
#: Between two dial strings that are tried as one "enterprise" originate.
_ENTERPRISE = ":_:"
#: What an application's argument may hold besides: structure that we write ourselves, never `$` or a backslash.
_ARGUMENT = re.compile(r"[^\r\n\0$\\]*")


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `label` names it in messages and logs; the bytes, which may hold a password, are never shown."""

    label: str
    wire: bytes = field(repr=False)


def auth(password: str) -> Command:
    return _command("auth", f"auth {_one_line(password)}")


def connect() -> Command:
    """The first command on a connection that FreeSWITCH opened; its reply is the channel's data."""
    return _command("connect", "connect")


def linger() -> Command:
    """Keep the socket open after the hangup, so that the last events arrive."""
    return _command("linger", "linger")


def my_events() -> Command:
    """The controlled channel's events; PLAYBACK_START and PLAYBACK_STOP are not among them."""
    return _command("myevents", "myevents")


def events(names: Iterable[str]) -> Command:
    chosen = [_matching(_TOKEN, name, "an event's name") for name in names]
    if not chosen:
        raise InputError("no event was named")
    return _command("event", f"event plain {' '.join(chosen)}")


def api(name: str, *arguments: str) -> Command:
    """An API command, whose answer is the reply's body."""
    checked = [_matching(_HARMLESS, argument, "an argument") for argument in arguments]
    return _command(f"api {name}", f"api {' '.join([_matching(_TOKEN, name, 'an API command'), *checked])}")


def sched_del(channel_uuid: str) -> Command:
    """Delete the scheduled tasks of a channel; the answer is `+OK Deleted: <how many>`."""
    return api("sched_del", uuid(channel_uuid))


def execute(application: str, argument: str = "", *, event_uuid: str) -> Command:
    """Run a dialplan application on the controlled channel; CHANNEL_EXECUTE_COMPLETE carries `event_uuid` when it ends.

    `event-lock`: without it FreeSWITCH starts the next queued application in the middle of this one.
    """
    lines = [
        "sendmsg",
        "call-command: execute",
        f"execute-app-name: {_matching(_TOKEN, application, 'an application')}",
        f"execute-app-arg: {_matching(_ARGUMENT, argument, 'the argument of an application')}" if argument else "",
        "event-lock: true",
        f"Event-UUID: {uuid(event_uuid)}",
    ]
    return _command(f"execute {application}", "\n".join(line for line in lines if line))


def hangup(cause: str = "NORMAL_CLEARING") -> Command:
    """End the controlled channel. `cause`: one of FreeSWITCH's names for Q.850 causes."""
    return _command("hangup", f"sendmsg\ncall-command: hangup\nhangup-cause: {_matching(_TOKEN, cause, 'a cause')}")


def dial_string(endpoint: str, variables: Mapping[str, str]) -> str:
    """`{name=value,…}endpoint`, the argument of `bridge`; the variables are set on the new leg."""
    pairs = [
        f"{_matching(_VARIABLE_NAME, name, 'the name of a channel variable')}="
        f"{_matching(_HARMLESS, value, f'the value of {name}')}"
        for name, value in variables.items()
    ]
    whole = f"{{{','.join(pairs)}}}{_matching(_ENDPOINT, endpoint, 'an endpoint')}"
    if _ENTERPRISE in whole:
        raise InputError(f"{_ENTERPRISE!r} in a dial string would start a second one")
    return whole


def assignment(name: str, value: str) -> str:
    """`name=value`, the argument of `set`. A comma is data there, as in a tone's description."""
    return f"{_matching(_VARIABLE_NAME, name, 'the name of a channel variable')}={_matching(_ARGUMENT, value, name)}"


def playlist(files: Iterable[str]) -> str:
    """The argument of `playback` that plays files (absolute paths) and silences one after another, without a pause."""
    chosen = [_matching(_MEDIA, file, "a prompt's path") for file in files]
    if not chosen:
        raise InputError("a playlist needs at least one file")
    return f"file_string://{'!'.join(chosen)}"


def silence(milliseconds: int) -> str:
    """A silence, to stand in a playlist."""
    return f"silence_stream://{milliseconds:d}"


def harmless(display_text: str) -> str:
    """Text for people, such as a PSAP's name, with every character that FreeSWITCH could act on replaced by a space."""
    return _NOT_HARMLESS_IN_A_NAME.sub(" ", display_text)


def uuid(value: str) -> str:
    """A channel's or an event's UUID, as it is; InputError for anything else."""
    return _matching(_UUID, value, "a UUID")


def _matching(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.fullmatch(value):
        raise InputError(f"{value!r} cannot be {what}", mend="it holds something that the media server would act on")
    return value


def _one_line(secret: str) -> str:
    if _LINE_END.search(secret):
        raise InputError("the ESL password holds a line end", mend="it must be one line; 'holdfast render' makes one")
    return secret


def _command(label: str, lines: str) -> Command:
    try:
        return Command(label, lines.encode("utf-8") + b"\n\n")
    except UnicodeEncodeError as error:
        raise InputError(f"the command {label!r} holds text that is no Unicode") from error
