"""FreeSWITCH's dial strings and causes."""

import pytest

from holdfast.embedded import causes, dial_string
from holdfast.errors import InputError

CALLBACK = (
    "{sip_h_X-Holdfast-Leg=deliver,sip_h_Priority=psap-callback,leg_timeout=30,ignore_early_media=true}"
    "sofia/holdfast/sip:+12025550123@127.0.0.1:5060"
)


def test_the_callbacks_dial_string_is_read_whole() -> None:
    dial = dial_string.parse(CALLBACK)
    assert (dial.profile, dial.uri, dial.target.address) == (
        "holdfast",
        "sip:+12025550123@127.0.0.1:5060",
        ("127.0.0.1", 5060),
    )
    assert dial.headers == [("x-holdfast-leg", "deliver"), ("priority", "psap-callback")]
    assert dial.leg_timeout_s == 30


def test_quotes_escapes_and_both_kinds_of_brackets_are_understood() -> None:
    dial = dial_string.parse(r"{a=1\,2,b='x,y'} [c=d=e] sofia/internal/100@[::1]:5070;transport=udp")
    assert dial.variables == {"a": "1,2", "b": "x,y", "c": "d=e"}
    assert dial.target.address == ("::1", 5070)
    assert dial.leg_timeout_s == 60


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user/1000",
        "sofia/holdfast",
        "sofia/holdfast/sip:a@b|sofia/holdfast/sip:c@d",
        "sofia/holdfast/sip:a@b,sofia/holdfast/sip:c@d",
        "{leg_timeout=30sofia/holdfast/sip:a@b",
        "{leg_timeout=never}sofia/holdfast/sip:a@b",
        "{leg_timeout=0}sofia/holdfast/sip:a@b",
        "{leg_timeout}sofia/holdfast/sip:a@b",
        "{leg_timeout=}sofia/holdfast/sip:a@b",
        "{originate_timeout=never}sofia/holdfast/sip:a@b",
        "{sip_h_To=<sip:x@y>}sofia/holdfast/sip:a@b",
        "{sip_h_X A=1}sofia/holdfast/sip:a@b",
        "{a='open}sofia/holdfast/sip:a@b",
        "{sip_h_X-A=1\r\nVia: forged}sofia/holdfast/sip:a@b",
        "sofia/holdfast/sip:a@b:99999",
    ],
)
def test_what_would_not_be_dialled_as_written_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        dial_string.parse(text)


@pytest.mark.parametrize(
    ("status", "cause"),
    [(486, "USER_BUSY"), (480, "NO_USER_RESPONSE"), (408, "RECOVERY_ON_TIMER_EXPIRE"), (404, "UNALLOCATED_NUMBER"),
     (603, "CALL_REJECTED"), (503, "NORMAL_TEMPORARY_FAILURE"), (499, "NORMAL_UNSPECIFIED"), (513, "INTERWORKING")],
)  # fmt: skip
def test_a_refusal_becomes_freeswitchs_cause(status: int, cause: str) -> None:
    assert causes.of_status(status) == cause
    assert causes.known(cause)
    assert 400 <= causes.refusal(cause)[0] < 700


def test_a_cause_of_freeswitchs_own_is_never_sent_as_q850() -> None:
    assert causes.reason_header("MEDIA_TIMEOUT") == ("reason", 'Q.850;cause=16;text="MEDIA_TIMEOUT"')
    assert causes.refusal("USER_BUSY") == (486, "Busy Here")
