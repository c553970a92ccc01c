"""Who sends a request: a media server, a trunk, a registered device, or somebody unknown.

Known by the address its packets come from, never by what it says of itself.
"""

from dataclasses import dataclass

from holdfast.core import headers, numbers
from holdfast.core.country import DEFAULT_COUNTRY
from holdfast.core.headers import SipUri
from holdfast.core.model import Caller, Subscriber, Tenant, Trunk
from holdfast.edge.store import EdgeStore
from kemi import ksr, media_server, message
from kemi.context import config, network
from kemi.message import Request


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from: at most one of these is set."""

    media_server: bool = False
    trunk: Trunk | None = None

    @property
    def trusted(self) -> bool:
        return self.media_server or self.trunk is not None


def origin(request: Request) -> Origin:
    if request.address == config().media_address and request.port == config().media_port:
        return Origin(media_server=True)
    for trunk in network().trunks:
        if headers.address_matches(request.address, trunk.source_addresses):
            return Origin(trunk=trunk)
    return Origin()


def strip_what_only_we_may_say(source: Origin) -> None:
    """Private headers and the callback mark count only from where they may come (N9, RFC 7090 §5)."""
    if not source.media_server and message.mentions("x-holdfast"):
        ksr.remove_headers_like(media_server.PRIVATE_HEADERS)
    if not source.trusted:
        ksr.remove_header("Priority")


def identify(request: Request, source: Origin, store: EdgeStore) -> Caller:
    """The holder of the lease that an emergency call from here would get. Never challenges (design: trust).

    A verified user is one whose device registered from this very address, or whose request carries valid credentials.
    """
    subscriber = _registered_here(request, store) or _with_credentials(store)
    if subscriber is not None:
        return Caller(
            caller_key=f"subscriber:{subscriber.id}",
            display_name=subscriber.display_name,
            contact_uri=_device_uri(request),
            source_uri=request.source_uri,
            subscriber=subscriber,
            tenant=store.tenant(subscriber.tenant_id),
        )
    if source.trunk is not None:
        # Behind a PBX that withholds the number any call may be somebody else's: each is a caller of its own (N3).
        number = numbers.e164(request.from_user, DEFAULT_COUNTRY) or f"call:{request.call_id}"
        key = f"trunk:{source.trunk.id}:{number}"
    else:
        key = f"contact:{request.source_key}"
    return Caller(
        caller_key=key,
        display_name=request.from_name,
        contact_uri=_device_uri(request),
        source_uri=request.source_uri,
        trunk=source.trunk,
    )


def _device_uri(request: Request) -> str:
    """The Contact, if a request could be sent to it; else the address that the packets came from."""
    usable = SipUri.parse(request.contact) is not None and "|" not in request.contact
    return request.contact if usable else request.source_uri


def country_of(subscriber: Subscriber | None, tenant: Tenant | None) -> str:
    """The country that somebody dials in (A6 in its simplest form: as provisioned): the user's, else the tenant's."""
    registered = subscriber.country if subscriber else None
    return registered or (tenant.country if tenant else DEFAULT_COUNTRY)


def remember_device(request: Request, username: str, expires_s: int) -> None:
    """A device registered: requests from its address are its user's for as long as the registration lasts."""
    for key in (request.source_key, f"{request.source_key}|{username}"):
        if expires_s > 0:
            ksr.table_set("devices", key, username, expires_s)
        else:
            ksr.table_remove("devices", key)


def _registered_here(request: Request, store: EdgeStore) -> Subscriber | None:
    # A telephone with several lines registers several users from one address: From may choose among those, no others.
    username = ksr.table_get("devices", f"{request.source_key}|{request.from_user}") or ksr.table_get(
        "devices", request.source_key
    )
    return store.subscriber(username, config().domain) if username else None


def _with_credentials(store: EdgeStore) -> Subscriber | None:
    username = ksr.digest_user()
    subscriber = store.subscriber(username, config().domain) if username else None
    if subscriber and ksr.credentials_check(config().domain, subscriber.ha1) == ksr.DIGEST_OK:
        return subscriber
    return None
