"""The way to the media server beside us, which is known by its address and told what it needs in private headers."""

from kemi import ksr
from kemi.context import config

#: It is on this node and says 100 at once; a second of silence means that it is gone.
ANSWERS_WITHIN_MS = 1_000
#: Matches the names of the headers that only the media server and we may write.
PRIVATE_HEADERS = "^X-Holdfast"


def send(feature: str, callback_number: str, *, lasts_at_most_ms: int, on_failure: str) -> bool:
    """Relay this INVITE to the media server's `feature`: readback, callback or unavailable. False: it cannot be sent.

    `callback_number` "": none was lent.
    """
    uri = config().media_uri
    ksr.remember("told_number", callback_number)
    ksr.set_uri(f"sip:{feature}@{uri}")
    ksr.set_next_hop(f"sip:{uri};transport=udp")
    ksr.timers(unanswered_ms=ANSWERS_WITHIN_MS, ringing_ms=lasts_at_most_ms)
    ksr.on_failure(on_failure)
    ksr.on_branch("ksr_branch_media_server")
    return ksr.relay()


def tell() -> None:
    """In the branch route, so that only this branch carries them and no phone that is rung in its place."""
    if ksr.read("$rd") == config().media_address and ksr.read("$rp") == str(config().media_port):
        if number := ksr.recall("told_number"):
            ksr.add_header("X-Holdfast-Callback-Number", number)
        ksr.add_header("X-Holdfast-Language", config().language)
