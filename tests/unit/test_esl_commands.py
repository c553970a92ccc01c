"""Commands: nothing that came with a call can become more than the value it is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InputError
from holdfast.esl import commands

UUID = "5ca1ab1e-0000-4000-8000-000000000001"
#: Display names that would set a variable, start an expansion, a second leg or a second command.
INJECTIONS = [
    "x,origination_uuid=1", "x}sofia/other/1{", "{x", "[leg_timeout=1]", "'quoted'", 'double"', "^^:a=b:c=d", "\\s",
    "${system(id)}", "$${x}", "a|user/1", "a:_:user/1", "<x>", "x\nevent: all", "x\r", "x\0", "a=b",
]  # fmt: skip


def test_a_command_never_shows_its_password() -> None:
    command = commands.auth("secret-of-the-house")
    assert command.wire == b"auth secret-of-the-house\n\n"
    assert "secret" not in repr(command)


@pytest.mark.parametrize("password", ["a\nb", "a\rb", "a\0b"])
def test_a_password_with_a_line_end_is_refused_without_being_shown(password: str) -> None:
    with pytest.raises(InputError) as error:
        commands.auth(password)
    assert password not in str(error.value)


def test_an_application_is_executed_by_one_message_with_its_uuid() -> None:
    command = commands.execute("playback", "/srv/a.wav", event_uuid=UUID)
    assert command.wire == (
        b"sendmsg\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: /srv/a.wav\n"
        b"event-lock: true\nEvent-UUID: " + UUID.encode() + b"\n\n"
    )
    assert b"execute-app-arg" not in commands.execute("answer", event_uuid=UUID).wire


@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nb", "a\0b", "${x}", "a\\b"])
def test_an_assignment_refuses_a_line_end_and_an_expansion(hostile: str) -> None:
    with pytest.raises(InputError):
        commands.assignment("name", hostile)


@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nb", "a\0b", "${x}", "a\\b", "\ud800"])
def test_an_argument_with_a_line_end_or_an_expansion_is_refused(hostile: str) -> None:
    with pytest.raises(InputError):
        commands.execute("set", hostile, event_uuid=UUID)
    with pytest.raises(InputError):
        commands.execute("set", f"name={hostile}", event_uuid=UUID)


@pytest.mark.parametrize("hostile", ["", "a b c\nd", "sched del", "api\n", "a;b"])
def test_names_of_applications_causes_events_and_apis_are_words(hostile: str) -> None:
    name = hostile.replace(" ", "\n")
    with pytest.raises(InputError):
        commands.execute(name, event_uuid=UUID)
    with pytest.raises(InputError):
        commands.hangup(name)
    with pytest.raises(InputError):
        commands.events([name])
    with pytest.raises(InputError):
        commands.api(name)


@pytest.mark.parametrize("hostile", ["", "1", UUID + "\n", UUID + " x", "all", UUID[:-1] + "g"])
def test_only_a_uuid_is_a_uuid(hostile: str) -> None:
    with pytest.raises(InputError):
        commands.sched_del(hostile)


def test_the_other_commands_are_what_freeswitch_expects() -> None:
    built = [
        commands.connect(), commands.linger(), commands.my_events(), commands.events(["HEARTBEAT", "CUSTOM"]),
        commands.sched_del(UUID), commands.api("show", "channels", "as", "json"), commands.hangup("NO_ANSWER"),
    ]  # fmt: skip
    assert [command.wire.decode() for command in built] == [
        "connect\n\n", "linger\n\n", "myevents\n\n", "event plain HEARTBEAT CUSTOM\n\n",
        f"api sched_del {UUID}\n\n", "api show channels as json\n\n",
        "sendmsg\ncall-command: hangup\nhangup-cause: NO_ANSWER\n\n",
    ]  # fmt: skip
    with pytest.raises(InputError):
        commands.events([])


def test_a_dial_string_sets_its_variables_on_the_new_leg() -> None:
    built = commands.dial_string(
        "sofia/holdfast/sip:+12025550123@127.0.0.1:5060", {"sip_h_Priority": "psap-callback", "leg_timeout": "30"}
    )
    assert built == "{sip_h_Priority=psap-callback,leg_timeout=30}sofia/holdfast/sip:+12025550123@127.0.0.1:5060"
    assert commands.dial_string("sofia/holdfast/sip:+1@[2001:db8::1]:5060", {}).endswith("@[2001:db8::1]:5060")


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_psaps_name_cannot_inject_a_channel_variable(name: str) -> None:
    with pytest.raises(InputError):
        commands.dial_string("sofia/holdfast/sip:+1@127.0.0.1", {"origination_caller_id_name": name})
    with pytest.raises(InputError):
        commands.dial_string("sofia/holdfast/sip:+1@127.0.0.1", {name: "value"})
    with pytest.raises(InputError):
        commands.dial_string(f"sofia/holdfast/sip:{name}@127.0.0.1", {})


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_psaps_name_can_be_made_harmless(name: str) -> None:
    harmless = commands.harmless(name)
    assert commands.dial_string("sofia/holdfast/sip:+1@127.0.0.1", {"origination_caller_id_name": harmless})
    assert len(harmless) == len(name)


@given(st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_harmless_name_adds_nothing_to_a_dial_string(name: str) -> None:
    built = commands.dial_string("sofia/holdfast/sip:+1@127.0.0.1", {"a": commands.harmless(name), "b": "2"})
    assert (built.count(","), built.count("{"), built.count("}"), built.count("=")) == (1, 1, 1, 2)
    assert not set(built) & set("\r\n\0$\\'\"[]^|<>")


def test_a_readable_name_stays_as_it_is() -> None:
    assert commands.harmless("Leitstelle München (Süd) & Co.") == "Leitstelle München (Süd) & Co."


def test_a_playlist_plays_files_and_silences() -> None:
    assert commands.playlist(["/p/a b.wav", commands.silence(500)]) == "file_string:///p/a b.wav!silence_stream://500"


@pytest.mark.parametrize("file", ["relative.wav", "/a!b.wav", "/a$b.wav", "http://x/y", "/a,b.wav", "/a@@1.wav", ""])
def test_a_playlist_refuses_what_freeswitch_would_take_apart(file: str) -> None:
    with pytest.raises(InputError):
        commands.playlist([file])
    with pytest.raises(InputError):
        commands.playlist([])


def test_an_assignment_may_hold_a_tone() -> None:
    tone = "tone_stream://%(2000,4000,440,480);loops=-1"
    assert commands.assignment("transfer_ringback", tone) == f"transfer_ringback={tone}"
