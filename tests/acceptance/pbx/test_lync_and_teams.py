"""Requests as Microsoft's Lync and Teams have their session border controllers send them."""

import pytest

from acceptance.pbx.steps import Pbx, shown_to
from lab.carriers import BEHIND_PBX, Carriers
from lab.layout import POOL_NUMBERS
from lab.sip_messages import SipMessage
from lab.sip_peer import SipPeer

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.25\r\ns=-\r\nc=IN IP4 127.0.0.25\r\nt=0 0\r\n"
    "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
#: 1100 Congress Avenue, Austin, as its network's administrator has entered it.
PIDF_LO = f"""<?xml version="1.0" encoding="utf-8"?>
<presence entity="sip:{BEHIND_PBX}@contoso.invalid" xmlns="urn:ietf:params:xml:ns:pidf">
<tuple id="_LIS:0"><status><geopriv xmlns="urn:ietf:params:xml:ns:pidf:geopriv10"><location-info>
<civicAddress xmlns="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"><country>US</country><A1>TX</A1><A3>Austin</A3>
<RD>Congress</RD><STS>Avenue</STS><HNO>1100</HNO><LOC>floor 3</LOC><PC>78701</PC></civicAddress></location-info>
<usage-rules><retransmission-allowed xmlns="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy">true
</retransmission-allowed></usage-rules><method>Manual</method></geopriv></status>
<timestamp>2026-01-01T00:00:00Z</timestamp></tuple></presence>"""


def with_location(sdp: str = SDP) -> tuple[str, str]:
    """The headers and the body of an INVITE that tells where its caller is (RFC 6442)."""
    parts = [("application/sdp", "", sdp), ("application/pidf+xml", "Content-ID: <loc@contoso.invalid>\r\n", PIDF_LO)]
    body = "".join(f"--b1\r\nContent-Type: {kind}\r\n{more}\r\n{text}\r\n" for kind, more, text in parts) + "--b1--\r\n"
    headers = [
        "Geolocation: <cid:loc@contoso.invalid>;inserted-by=\"sip:contoso.invalid\"", "Geolocation-Routing: yes",
        "Priority: emergency", f"P-Asserted-Identity: <tel:{BEHIND_PBX}>,<sip:megan@contoso.invalid>",
        "X-MS-UserLocation: internal", "User-Agent: Microsoft.PSTNHub.SIPProxy v.2026.1.1.1",
        "Content-Type: multipart/mixed;boundary=b1",
    ]  # fmt: skip
    return "\r\n".join(headers), body


def dial(world: Carriers, pbx: Pbx, uri: str, headers: str, body: str = "") -> None:
    """The border controller sends an INVITE, which is answered."""
    from_ = f"<sip:{BEHIND_PBX}@contoso.invalid;user=phone>"
    call = pbx.peer.call(
        world.system.kamailio_link(pbx.peer), uri, from_=from_, to=f"<{uri}>", headers=headers, body=body
    )
    assert call.answer().status == 200, call.answer().start_line


def is_cleaned(invite: SipMessage) -> bool:
    """To is as it was dialled, which may be with the organisation's domain as the phone-context."""
    return not [text for text in (BEHIND_PBX, "@contoso", "megan", "PSTNHub", "X-MS") if text in invite]


@pytest.mark.parametrize(
    "uri",
    [
        "sip:+911;ext=7;phone-context=contoso.invalid@sbc.holdfast.invalid;user=phone",
        "sip:911;phone-context=dialstring@sbc.holdfast.invalid;user=phone",
        "sip:911;phone-context=contoso.invalid@sbc.holdfast.invalid;user=dialstring",
        "sip:+1911@sbc.holdfast.invalid:5061;user=phone;transport=tls",
        "sips:911@sbc.holdfast.invalid",
    ],
)
def test_a_teams_style_call_is_an_emergency_call_and_its_location_goes_along(
    world: Carriers, pbx: Pbx, centre: SipPeer, uri: str
) -> None:
    world.provisioned("trunk-group", "set", "screening", "--location", "value")
    dial(world, pbx, uri, *with_location())
    [invite] = centre.requests("INVITE")
    assert invite.request_uri.startswith("sip:911@")
    assert shown_to(centre) in POOL_NUMBERS
    assert is_cleaned(invite)
    assert b"<A3>Austin</A3>" in invite.body.replace(b"ca:", b"").replace(b"cl:", b"")
    assert invite.one("Geolocation-Routing") == "yes"
    assert SDP.encode().strip() in invite.body


def test_a_teams_style_call_without_a_location_is_screened(world: Carriers, pbx: Pbx, centre: SipPeer) -> None:
    dial(world, pbx, "sip:911;phone-context=dialstring@sbc.holdfast.invalid;user=phone",
         f"P-Asserted-Identity: <sip:{BEHIND_PBX}@contoso.invalid;user=phone>")  # fmt: skip
    [invite] = centre.requests("INVITE")
    assert shown_to(centre) in POOL_NUMBERS
    assert is_cleaned(invite)
    assert invite.body.strip().startswith(b"v=0")


@pytest.mark.parametrize(
    "uri", ["sip:911;phone-context=contoso.invalid@sbc.holdfast.invalid;user=phone", "urn:service:sos"]
)
def test_l1_a_lync_style_location_with_whom_to_tell_is_passed_on(
    world: Carriers, pbx: Pbx, centre: SipPeer, uri: str
) -> None:
    """Lync puts whom to notify and whom to conference in into the location's own extension."""
    world.provisioned("trunk-group", "set", "screening", "--location", "value")
    headers, body = with_location()
    lync = (
        '<EmergencyCallData xmlns="urn:schema:Rtc.LIS.msftE911PidfExtn.2008">'
        "<NotificationUri>sip:security@contoso.invalid</NotificationUri>"
        "<ConferenceUri>sip:+12025550190@contoso.invalid;user=phone</ConferenceUri>"
        "<ConferenceMode>twoway</ConferenceMode></EmergencyCallData>"
    )
    dial(world, pbx, uri, headers, body.replace("</geopriv>", f"{lync}</geopriv>"))
    [invite] = centre.requests("INVITE")
    assert b"sip:+12025550190@contoso.invalid" in invite.body
    assert b"sip:security@contoso.invalid" in invite.body
