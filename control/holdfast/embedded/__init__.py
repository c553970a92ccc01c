"""A stand-in media server for machines without FreeSWITCH: real SIP, RTP and ESL, in Python.

It does what FreeSWITCH does with `freeswitch/conf`, and nothing else: it takes `readback` and `callback` calls from the
edge, hands each to the call controller over the same event socket, and without a controller carries on by itself; the
announcement of an `unavailable` call needs none.
From the wire inwards: sip_message, sip_fields (bytes), sip_transactions, sip_endpoint, sip_dialog (RFC 3261), sdp, rtp
and media (audio), leg with incoming_leg and outgoing_leg (one side of a call), call (the story of one call),
applications with bridge (what can be done to it), fallback (without a controller), esl_* and api (the event socket).

The SIP layer is its own. PyPI's sippy 2.5 was tried: it drops INVITEs whose From or To holds a byte that is not UTF-8,
a tel: or a urn: URI; sends the ACK of a refusal to the Contact it names instead of back along its path; ignores a
forked call's second answer; and answers an INVITE without an offer within a call by muting it. sipua needs a WebRTC
stack and has no CANCEL, aiosipua resends no request.
"""
