"""A call leg as the event socket knows it: an id, variables, timestamps, and the events that tell of it."""

import itertools
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

Headers = list[tuple[str, str]]

CORE_UUID = str(uuid.uuid4())
_sequence = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its headers in FreeSWITCH's order and names, values not yet escaped."""

    name: str
    headers: Headers

    def get(self, name: str) -> str | None:
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)


class Listener(Protocol):
    """Who is told of events."""

    def event(self, event: Event) -> None: ...


class EventBus:
    """Hands each event to every listener, in the order in which events happen."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def add(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def publish(self, name: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        now_us = time.time_ns() // 1000
        head = [
            ("Event-Name", name),
            ("Core-UUID", CORE_UUID),
            ("FreeSWITCH-Hostname", os.uname().nodename),
            ("Event-Date-Timestamp", str(now_us)),
            ("Event-Sequence", str(next(_sequence))),
        ]
        event = Event(name, [*head, *headers])
        for listener in list(self._listeners):
            listener.event(event)


class ChannelState(Enum):
    """How far a call leg has come."""

    RECEIVED = auto()
    RINGING = auto()
    EARLY = auto()
    ANSWERED = auto()
    HUNGUP = auto()


#: FreeSWITCH's words for them: channel state, its number, call state, answer state.
_SHOWN_AS = {
    ChannelState.RECEIVED: ("CS_EXECUTE", 4, "RINGING", "ringing"),
    ChannelState.RINGING: ("CS_EXECUTE", 4, "RINGING", "ringing"),
    ChannelState.EARLY: ("CS_EXECUTE", 4, "EARLY", "early"),
    ChannelState.ANSWERED: ("CS_EXECUTE", 4, "ACTIVE", "answered"),
    ChannelState.HUNGUP: ("CS_HANGUP", 10, "HANGUP", "hangup"),
}


@dataclass(frozen=True, slots=True)
class CallerProfile:
    """Who calls whom, as text of latin-1 characters (one a byte)."""

    name: str
    number: str
    destination: str
    network_address: str


@dataclass
class Channel:
    """`inbound` is the PSAP's or caller's side (A leg), not `inbound` the side that the server made (B leg)."""

    bus: EventBus
    name: str
    profile: CallerProfile
    inbound: bool
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: ChannelState = ChannelState.RECEIVED
    variables: dict[str, str] = field(default_factory=dict)
    other_uuid: str = ""
    hangup_cause: str = ""
    application: tuple[str, str] = ("", "")
    created_us: int = field(default_factory=lambda: time.time_ns() // 1000)
    progress_us: int = 0
    answered_us: int = 0
    hungup_us: int = 0

    def __post_init__(self) -> None:
        self.variables |= {
            "uuid": self.uuid,
            "direction": "inbound" if self.inbound else "outbound",
            "channel_name": self.name,
        }

    def publish(self, name: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Tell of something that happened to this channel."""
        self.bus.publish(name, [*self.describe(), *headers])

    def move_to(self, state: ChannelState) -> None:
        """Enter a state and note when; the events are the caller's to publish."""
        self.state = state
        now_us = time.time_ns() // 1000
        if state in (ChannelState.RINGING, ChannelState.EARLY):
            self.progress_us = self.progress_us or now_us
        elif state is ChannelState.ANSWERED:
            self.answered_us = now_us
        elif state is ChannelState.HUNGUP:
            self.hungup_us = now_us

    def describe(self) -> Headers:
        """What FreeSWITCH puts into every event of a channel, and into the answer to `connect`."""
        state, number, call_state, answer_state = _SHOWN_AS[self.state]
        direction = self.variables["direction"]
        headers = [
            ("Channel-State", state),
            ("Channel-Call-State", call_state),
            ("Channel-State-Number", str(number)),
            ("Channel-Name", self.name),
            ("Unique-ID", self.uuid),
            ("Call-Direction", direction),
            ("Presence-Call-Direction", direction),
            ("Channel-HIT-Dialplan", "true" if self.inbound else "false"),
            ("Channel-Call-UUID", self.uuid if self.inbound else self.other_uuid or self.uuid),
            ("Answer-State", answer_state),
        ]
        if self.hangup_cause:
            headers.append(("Hangup-Cause", self.hangup_cause))
        headers += self._caller()
        if self.other_uuid:
            headers += [
                ("Other-Type", "originatee" if self.inbound else "originator"),
                ("Other-Leg-Unique-ID", self.other_uuid),
            ]
        return headers + [(f"variable_{name}", value) for name, value in self.variables.items()]

    def _caller(self) -> Headers:
        profile = self.profile
        return [
            ("Caller-Direction", self.variables["direction"]),
            ("Caller-Logical-Direction", self.variables["direction"]),
            ("Caller-Username", profile.number),
            ("Caller-Dialplan", "XML"),
            ("Caller-Caller-ID-Name", profile.name),
            ("Caller-Caller-ID-Number", profile.number),
            ("Caller-Network-Addr", profile.network_address),
            ("Caller-ANI", profile.number),
            ("Caller-Destination-Number", profile.destination),
            ("Caller-Unique-ID", self.uuid),
            ("Caller-Source", "mod_sofia"),
            ("Caller-Context", "holdfast"),
            ("Caller-Channel-Name", self.name),
            ("Caller-Profile-Index", "1"),
            ("Caller-Channel-Created-Time", str(self.created_us)),
            ("Caller-Channel-Answered-Time", str(self.answered_us)),
            ("Caller-Channel-Progress-Time", str(self.progress_us)),
            ("Caller-Channel-Hangup-Time", str(self.hungup_us)),
        ]

    def row(self) -> dict[str, str]:
        """This channel in `show channels as json`, text as people read it."""
        row = {
            "uuid": self.uuid,
            "direction": self.variables["direction"],
            "created": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.created_us // 1_000_000)),
            "created_epoch": str(self.created_us // 1_000_000),
            "name": self.name,
            "state": _SHOWN_AS[self.state][0],
            "cid_name": self.profile.name,
            "cid_num": self.profile.number,
            "ip_addr": self.profile.network_address,
            "dest": self.profile.destination,
            "application": self.application[0],
            "application_data": self.application[1],
            "dialplan": "XML",
            "context": "holdfast",
            "callstate": _SHOWN_AS[self.state][2],
            "call_uuid": self.uuid if self.inbound else self.other_uuid,
        }
        return {name: value.encode("latin-1", "replace").decode("utf-8", "replace") for name, value in row.items()}
