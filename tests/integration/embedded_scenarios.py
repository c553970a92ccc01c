"""SIPp scenarios for what no orderly phone does: answers that cross a CANCEL, two answers, holds, strange routes.

Each is built from steps; a step is the XML of one SIPp command.
"""

SDP = """

      v=0
      o=lab 1 1 IN IP4 [media_ip]
      s=-
      c=IN IP4 [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000"""


def scenario(name: str, *steps: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{name}">\n' + "\n".join(steps) + "\n</scenario>\n"


def recv(request: str) -> str:
    """Wait for a request."""
    return f'<recv request="{request}" timeout="8000"/>'


def recv_response(status: int, **attributes: str) -> str:
    extra = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<recv response="{status}" timeout="8000"{extra}/>'


def pause(milliseconds: int) -> str:
    return f'<pause milliseconds="{milliseconds}"/>'


def reply(status: str, *, tag: str = "one", cseq: str = "[last_CSeq:]", body: str = "", headers: str = "") -> str:
    """Answer the last request; `tag` becomes the To tag where it has none yet ("" leaves To alone)."""
    to = f"[last_To:];tag=[pid]{tag}" if tag else "[last_To:]"
    lines = [f"SIP/2.0 {status}", "[last_Via:]", "[last_From:]", to, "[last_Call-ID:]", cseq]
    return _send([*lines, *_lines(headers), *_content(body)], retransmit=False)


def final(status: str, *, tag: str = "one", body: str = "", headers: str = "", via: str = "[last_Via:]") -> str:
    """A final answer to the INVITE that came first, also when something else was received since."""
    contact = "" if "Contact" in headers else "Contact: <sip:phone@[local_ip]:[local_port]>"
    lines = [f"SIP/2.0 {status}", via, "[last_From:]", f"To: [$called];tag=[pid]{tag}", "[last_Call-ID:]"]
    return _send([*lines, "CSeq: 1 INVITE", *_lines(contact), *_lines(headers), *_content(body)], retransmit=True)


def recv_invite() -> str:
    """Wait for an INVITE and keep its To (without a tag) for `final`."""
    return (
        '<recv request="INVITE" timeout="8000"><action>'
        '<ereg regexp="&lt;.*&gt;" search_in="hdr" header="To:" assign_to="called"/></action></recv>'
    )


def request(method: str, cseq: int, *, body: str = "", headers: str = "", answered: bool = True) -> str:
    """A caller's request; `answered`: within the dialog that the answer made."""
    uri = "[next_url]" if answered else "sip:{{number}}@{{domain}}"
    to = "To: <sip:{{number}}@{{domain}}>" + ("[peer_tag_param]" if answered else "")
    lines = [
        f"{method} {uri} SIP/2.0",
        "Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch];rport",
        "From: {{from}};tag=[pid]call[call_number]",
        to,
        "Call-ID: [call_id]",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:device@[local_ip]:[local_port]>",
        "Max-Forwards: 70",
    ]
    return _send([*lines, *_lines(headers), *_content(body)], retransmit=method != "ACK")


def _lines(headers: str) -> list[str]:
    return [line for line in headers.split("\n") if line]


def _content(body: str) -> list[str]:
    return ["Content-Type: application/sdp", f"Content-Length: [len]{body}"] if body else ["Content-Length: 0"]


def _send(lines: list[str], *, retransmit: bool) -> str:
    text = "\n      ".join(lines)
    attribute = ' retrans="500"' if retransmit else ""
    return f"<send{attribute}><![CDATA[\n      {text}\n    ]]></send>"
