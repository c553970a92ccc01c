"""KSR as a real Kamailio has it, and no more: whatever it does not know is an error that nothing can swallow.

Names, numbers and types of parameters come from tests/data/kemi_api.txt, which a real Kamailio wrote; route blocks,
hash tables and counters from kamailio/kamailio.cfg. Text from the message is decoded as KSR decodes it: bytes that are
no UTF-8 raise UnicodeDecodeError.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from unit.ksr_message import Message, Sent

ROOT = Path(__file__).resolve().parents[2]
API_FILE = ROOT / "tests" / "data" / "kemi_api.txt"
CONFIGURATION = ROOT / "kamailio" / "kamailio.cfg"
_TYPES = {"str": str, "int": int}
#: Asked before each call, with its place, name and arguments; may raise in its stead.
Fail = Callable[[int, str, tuple[Any, ...]], None]
_PLAIN: dict[str, object] = {"int": 1, "bool": True, "none": None}


class NotInKemi(BaseException):
    """The routing code asked Kamailio for something it does not have. No `except Exception` may hide that."""


@cache
def api() -> Mapping[str, tuple[tuple[str, ...], str]]:
    """Every function's parameters and result, by its name below KSR."""
    line = re.compile(r"([\w.]+)\(([^)]*)\) -> (\w+)")
    found = (line.fullmatch(text) for text in API_FILE.read_text(encoding="utf-8").splitlines() if text[0] != "#")
    return {one[1]: (tuple(filter(None, one[2].split(", "))), one[3]) for one in found if one}


@cache
def declared(pattern: str) -> tuple[tuple[str, ...], ...]:
    """What kamailio.cfg declares by this pattern."""
    found = re.findall(pattern, CONFIGURATION.read_text(encoding="utf-8"))
    return tuple(one if isinstance(one, tuple) else (one,) for one in found)


@cache
def modules() -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in api() if "." in name)


@cache
def tables() -> set[str]:
    return {name for (name,) in declared(r'modparam\("htable", "htable", "(\w+)=>')}


@cache
def counters() -> dict[str, int]:
    """Each counter's number of labels."""
    labels = declared(r'"prom_counter", "name=(\w+);(?: label=([\w:]+);)?"')
    return {name: len(names.split(":")) if names else 0 for name, names in labels}


@dataclass
class Kamailio:
    """What outlives a message: hash tables, and the answers that the world gives. `answers` by function name."""

    defines: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in tables()})
    avps: dict[str, str] = field(default_factory=dict)


class Ksr:
    """One message's KSR. `fail` is asked before each call, and may raise in its place."""

    def __init__(self, kamailio: Kamailio, message: Message, fail: Fail | None = None) -> None:
        self.kamailio = kamailio
        self.message = message
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.relayed: list[Sent] = []
        self.replies: list[int] = []
        self.routed: list[str] = []
        self.errors: list[str] = []
        self.counted: list[tuple[str, ...]] = []
        self.from_uri = ""
        #: the body as it is now, and what was put in its place, its type first
        self.body, self.content_type = message.body or b"", message.content_type or b""
        self.bodies: list[tuple[str, bytes]] = []
        self.branches: list[str] = []
        self._fail = fail
        self._uri = message.uri.decode("utf-8", "replace")
        self._next_hop = ""
        self._leaving = [(name, value.decode("utf-8", "replace")) for name, value in message.all_headers()]

    def outcomes(self) -> int:
        """How often this message was answered for good or sent on."""
        return len(self.relayed) + len(self.replies) + len(self.routed)

    def leaving(self, name: str) -> list[str]:
        """What this header says in the message as it is now."""
        return [value for known, value in self._leaving if known.lower() == name.lower()]

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def __getattr__(self, name: str) -> Any:
        if name in modules():
            return _Module(self, name)
        return self.function(name)

    def function(self, name: str) -> Callable[..., Any]:
        if name not in api():
            raise NotInKemi(f"KSR.{name} does not exist")
        parameters, result = api()[name]

        def call(*arguments: Any) -> Any:
            if len(arguments) != len(parameters):
                raise NotInKemi(f"KSR.{name}({', '.join(parameters)}) was given {len(arguments)} arguments")
            for argument, kind in zip(arguments, parameters, strict=True):
                if not isinstance(argument, _TYPES[kind]) or isinstance(argument, bool):
                    raise NotInKemi(f"KSR.{name}({', '.join(parameters)}) was given {argument!r}")
            self.calls.append((name, arguments))
            if self._fail:
                self._fail(len(self.calls) - 1, name, arguments)
            return self._answer(name, result, arguments)

        return call

    def _answer(self, name: str, result: str, arguments: tuple[Any, ...]) -> Any:
        behaviour = getattr(type(self), f"_{name.replace('.', '_')}", None)
        if behaviour is not None:
            return behaviour(self, *arguments)
        if name in self.kamailio.answers:
            answer = self.kamailio.answers[name]
            return answer(*arguments) if callable(answer) else answer
        if name in _ANSWERS:
            return _ANSWERS[name]
        if name in _DONE:
            return _PLAIN[result]
        raise NotInKemi(f"KSR.{name}: this double has no answer to it yet")

    # Reading

    def _pv_get(self, name: str) -> str | None:
        if name.startswith("$avp("):
            return self.kamailio.avps.get(name[5:-1])
        if name.startswith("$hdr("):
            values = [value for known, value in self.message.all_headers() if known.lower() == name[5:-1].lower()]
            return values[0].decode() if values else None
        if name.startswith("$(hdr(") and name.endswith(")[*])"):
            wanted = name[6:-5].lower()
            values = [value for known, value in self.message.all_headers() if known.lower() == wanted]
            return b",".join(values).decode() if values else None
        if name in ("$rd", "$rp", "$Rp"):
            return str(self.kamailio.answers.get(name, ""))
        if name == "$mb":
            return self._message_buffer()
        chunk = re.fullmatch(r"\$\(rb\{s\.substr,(\d+),(\d+)\}\{s\.encode\.base64\}\)", name)
        if chunk:
            return b64encode(self.body[int(chunk[1]) :][: int(chunk[2])]).decode()
        if name in ("$bs", "$ml"):
            return str(len(self.body) + (len(self._message_buffer()) if name == "$ml" else 0))
        if name == "$cT":
            return self.content_type.decode()
        variables = self.message.variables()
        if name not in variables:
            raise NotInKemi(f"KSR.pv.get({name!r}): this double does not know that variable")
        value = variables[name]
        return None if value is None else value.decode()

    def _pv_sets(self, name: str, value: str) -> bool:
        if name == "$rU":
            self._uri = f"sip:{value}@{self._uri.partition('@')[2]}"
            return True
        if name == "$dlg_var(cseq_diff)":
            self.kamailio.avps["dlg_var:cseq_diff"] = value
            return True
        if not re.fullmatch(r"\$avp\(\w+\)", name):
            raise NotInKemi(f"KSR.pv.sets({name!r}) is no variable that lives as long as the transaction")
        self.kamailio.avps[name[5:-1]] = value
        return True

    def _message_buffer(self) -> str:
        lines = [f"{self.message.method} ".encode() + self.message.uri + b" SIP/2.0"]
        lines += [name.encode() + b": " + value for name, value in self.message.all_headers()]
        return b"\r\n".join([*lines, b"", b""]).decode()

    def _hdr_is_present(self, name: str) -> int:
        return 1 if any(known.lower() == name.lower() for known, _ in self.message.all_headers()) else -1

    def _kx_get_def(self, name: str) -> str | None:
        if name not in self.kamailio.defines:
            raise NotInKemi(f"KSR.kx.get_def({name!r}): kamailio.cfg is not given that")
        return self.kamailio.defines[name]

    def _siputils_has_totag(self) -> int:
        return 1 if self.message.to_tag else -1

    def _is_UDP(self) -> bool:  # noqa: N802  Kamailio's own name
        return self.message.transport == "udp"

    # Rewriting

    def _hdr_remove(self, name: str) -> int:
        self._leaving = [one for one in self._leaving if one[0].lower() != name.lower()]
        return 1

    def _textops_has_body(self) -> int:
        return 1 if self.body else -1

    def _textopsx_remove_body(self) -> int:
        self.bodies.append(("", b""))
        return 1

    def _textopsx_msg_apply_changes(self) -> int:
        if self.bodies:
            self.content_type, self.body = self.bodies[-1][0].encode(), self.bodies[-1][1]
        return 1

    def _textops_remove_hf_re(self, pattern: str) -> int:
        self._leaving = [one for one in self._leaving if not re.search(pattern, one[0], re.IGNORECASE)]
        return 1

    def _hdr_append(self, line: str) -> int:
        if not re.fullmatch(r"[\w-]+: [^\r\n\0]*\r\n", line):
            raise NotInKemi(f"KSR.hdr.append({line!r}) is not one header")
        name, _, value = line.partition(": ")
        self._leaving.append((name, value.removesuffix("\r\n")))
        return 1

    def _hdr_append_to_reply(self, line: str) -> int:
        if not re.fullmatch(r"[\w-]+: [^\r\n\0]*\r\n", line):
            raise NotInKemi(f"KSR.hdr.append_to_reply({line!r}) is not one header")
        return 1

    def _seturi(self, uri: str) -> bool:
        self._uri = uri
        return True

    def _setdsturi(self, uri: str) -> bool:
        self._next_hop = uri
        return True

    def _uac_uac_replace_from(self, _display: str, uri: str) -> int:
        self.from_uri = uri
        return 1

    # Sending and answering

    def _tm_t_relay(self) -> int:
        answers = self.kamailio.answers.get("tm.t_relay", [])
        result: int = answers.pop(0) if answers else 1
        if result > 0:
            self.relayed.append(Sent(self._uri, self._next_hop, list(self._leaving)))
        return result

    def _sl_send_reply(self, code: int, _phrase: str) -> int:
        return self._replied(code)

    def _tm_t_reply(self, code: int, _phrase: str) -> int:
        return self._replied(code)

    def _auth_auth_challenge(self, _realm: str, _flags: int) -> int:
        return self._replied(401 if self.message.method == "REGISTER" else 407)

    def _siputils_options_reply(self) -> int:
        return self._replied(200)

    def _registrar_save(self, table: str, _flags: int) -> int:
        _known(table, {"location"}, "registrar.save")
        return self._replied(200)

    def _xhttp_xhttp_reply(self, code: int, _phrase: str, _kind: str, _body: str) -> int:
        return self._replied(code)

    def _xhttp_prom_dispatch(self) -> int:
        return self._replied(200)

    def _replied(self, code: int) -> int:
        self.replies.append(code)
        return 1

    def _route(self, name: str) -> int:
        _known(name, {route for (route,) in declared(r"(?m)^route\[(\w+)\]")}, "route")
        if name == "SET_BODY":
            self.bodies.append((self.kamailio.avps["body_type"], b64decode(self.kamailio.avps["body"], validate=True)))
        else:
            self.routed.append(name)
        return 1

    # Registrations, tables, counters, logs

    def _corex_append_branch_uri(self, uri: str) -> int:
        self.branches.append(uri)
        return 1

    def _registrar_lookup_uri(self, table: str, uri: str) -> int:
        _known(table, {"location"}, "registrar.lookup_uri")
        if uri not in self.kamailio.answers.get("registered", ()):
            return -1
        self.branches, self._uri = [uri], uri
        return 1

    def _registrar_lookup_to_dset(self, table: str, uri: str) -> int:
        _known(table, {"location"}, "registrar.lookup_to_dset")
        if uri not in self.kamailio.answers.get("registered", ()):
            return -1
        self.branches.append(uri)
        return 1

    def _htable_sht_get(self, table: str, key: str) -> str | None:
        return self._table(table).get(key)

    def _htable_sht_sets(self, table: str, key: str, value: str) -> int:
        self._table(table)[key] = value
        return 1

    def _htable_sht_setex(self, table: str, key: str, expires_s: int) -> int:
        if key not in self._table(table) or expires_s <= 0:
            raise NotInKemi(f"KSR.htable.sht_setex({table!r}, {key!r}, {expires_s})")
        return 1

    def _htable_sht_rm(self, table: str, key: str) -> int:
        self._table(table).pop(key, None)
        return 1

    def _table(self, name: str) -> dict[str, str]:
        _known(name, tables(), "htable")
        return self.kamailio.tables[name]

    def _counted(self, name: str, value: int, *labels: str) -> int:
        if counters().get(name) != len(labels) or value != 1:
            raise NotInKemi(f"kamailio.cfg declares no counter {name} with {len(labels)} labels")
        self.counted.append((name, *labels))
        return 1

    _xhttp_prom_counter_inc_l0 = _xhttp_prom_counter_inc_l1 = _xhttp_prom_counter_inc_l2 = _counted

    def _err(self, text: str) -> None:
        self.errors.append(text)


class _Module:
    def __init__(self, ksr: Ksr, name: str) -> None:
        self._ksr = ksr
        self._name = name

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._ksr.function(f"{self._name}.{name}")


def _known(name: str, known: set[str], where: str) -> None:
    if name not in known:
        raise NotInKemi(f"KSR.{where}: {name!r} is not declared in kamailio.cfg")


#: What these ask is mostly not so; `Kamailio.answers` says where it is.
_ANSWERS: dict[str, object] = {
    "dialog.is_known_dlg": -1,
    "is_myself": True, "isbflagset": False, "isdsturiset": False, "isflagset": False, "maxfwd.process_maxfwd": 1,
    "nathelper.nat_uac_test": -1, "rr.is_direction": 1, "rr.loose_route": 1, "sanity.sanity_check": 1,
    "tm.t_branch_replied": -1, "tm.t_branch_timeout": -1, "tm.t_check_trans": -1, "tm.t_get_status_code": 408,
    "tm.t_is_canceled": -1, "tmx.t_precheck_trans": -1, "auth.pv_auth_check": -5, "xhttp_prom.check_uri": 1,
}  # fmt: skip
#: Done without more: nothing that these tests look at depends on them.
_DONE = {
    "dialog.dlg_manage", "dialog.dlg_set_property", "force_rport", "info", "nathelper.fix_nated_contact",
    "nathelper.fix_nated_register", "nathelper.handle_ruri_alias", "rr.add_rr_param", "rr.record_route",
    "rtpengine.rtpengine_manage", "setbflag", "setflag", "tm.t_newtran",
    "tm.t_on_branch", "tm.t_on_failure", "tm.t_on_reply", "tm.t_set_disable_6xx", "tm.t_set_fr",
}  # fmt: skip
