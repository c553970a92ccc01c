"""A stand-in media server for machines without FreeSWITCH: real SIP, RTP and ESL, in Python."""
