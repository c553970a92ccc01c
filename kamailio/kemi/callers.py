"""Who sends a request: a media server, a trunk, a PBX, a registered device, or somebody unknown.

Known by the address its packets come from, never by what it says of itself.
"""

from dataclasses import dataclass

from holdfast.core import callers, headers, numbers
from holdfast.core.callers import Behind, Sender
from holdfast.core.certificate import host_names
from holdfast.core.country import DEFAULT_COUNTRY
from holdfast.core.headers import SipUri
from holdfast.core.lease import Lease
from holdfast.core.model import Caller, Subscriber, Tenant, Trunk, TrunkGroup
from holdfast.edge.store import EdgeStore
from holdfast.edge.store_facts import asserted
from kemi import ksr, media_server, message
from kemi.context import config, network
from kemi.message import Request


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from: the media server, or a trunk with its group, or (neither) anybody else."""

    media_server: bool = False
    trunk: Trunk | None = None
    group: TrunkGroup | None = None

    @property
    def trusted(self) -> bool:
        return self.media_server or self.trunk is not None

    @property
    def is_pbx(self) -> bool:
        return self.group is not None and self.group.pbx

    @property
    def is_carrier(self) -> bool:
        """Whether calls to callback numbers may come from here: a PBX is a caller's, not a carrier's."""
        return self.media_server or (self.trunk is not None and not self.is_pbx)


def origin(request: Request) -> Origin:
    if request.address == config().media_address and request.port == config().media_port:
        return Origin(media_server=True)
    known = network()
    for trunk in known.trunks:
        if headers.address_matches(request.address, trunk.source_addresses) and _shows_certificate(request, trunk):
            return Origin(trunk=trunk, group=known.groups[trunk.trunk_group_id])
    return Origin()


def _shows_certificate(request: Request, trunk: Trunk) -> bool:
    """Where a certificate is asked of a trunk, its address alone is not believed."""
    if trunk.certificate_name is None:
        return True
    return request.over_tls and trunk.certificate_name.lower() in host_names(message.verified_certificate())


def strip_what_only_we_may_say(source: Origin) -> None:
    """Private headers and the callback mark count only from where they may come (N9, RFC 7090 §5)."""
    if not source.media_server and message.mentions("x-holdfast"):
        ksr.remove_headers_like(media_server.PRIVATE_HEADERS)
    if message.mentions("p-k-cseq-"):
        ksr.remove_headers_like("^P-K-CSeq-")  # Kamailio's own (kemi/trunks.py)
    if not source.is_carrier:
        ksr.remove_header("Priority")


def identify(request: Request, source: Origin, store: EdgeStore) -> Caller:
    """The holder of the lease that an emergency call from here would get. Never challenges (design: trust).

    A verified user is one whose device registered from this very address, or whose request carries valid credentials.
    """
    subscriber = None if source.is_pbx else _registered_here(request, store) or _with_credentials(store)
    if subscriber is not None:
        return of_subscriber(request, subscriber, store)
    sender = _sender(request)
    if source.trunk is not None and source.group is not None:
        tenant = store.tenant(source.group.tenant_id) if source.group.tenant_id is not None else None
        said = asserted(store, number_said(request, country_of(None, tenant)), tenant)
        return callers.on_trunk(sender, source.trunk, source.group, tenant, said)
    return callers.unknown(sender, request.source_key)


def of_subscriber(request: Request, subscriber: Subscriber, store: EdgeStore) -> Caller:
    """A user, or somebody behind a PBX that registers as one."""
    tenant = store.tenant(subscriber.tenant_id)
    if not subscriber.pbx:
        return callers.user(_sender(request), subscriber, tenant)
    said = asserted(store, number_said(request, country_of(subscriber, tenant)), tenant)
    return callers.behind_registered_pbx(_sender(request), subscriber, tenant, said)


def _sender(request: Request) -> Sender:
    return Sender(request.call_id, request.from_name, _device_uri(request), request.source_uri)


def number_said(request: Request, country: str) -> str | None:
    """The caller's number as the sender says it, who must be somebody that may: asserted (RFC 3325) before From."""
    users = (message.asserted_user(), request.from_user)
    forms = (numbers.e164(user.partition(";")[0], country) for user in users)
    return next(filter(None, forms), None)


def holder_of(lease: Lease, store: EdgeStore, trunk: Trunk | None) -> Caller:
    """The caller whose lease this is, as far as the lease tells. `trunk`: over which their call comes this time."""
    subscriber = store.subscriber_by_id(lease.subscriber_id) if lease.subscriber_id is not None else None
    tenant = store.tenant(lease.tenant_id) if lease.tenant_id is not None else None
    behind = Behind.of_key(lease.caller_key)
    said = asserted(store, behind.number if behind else None, tenant)
    return Caller(
        lease.caller_key, lease.display_name, lease.contact_uri, lease.source_uri, subscriber=subscriber,
        tenant=tenant, trunk=trunk, number=said.number if said.vouched else subscriber.number if subscriber else None,
    )  # fmt: skip


def _device_uri(request: Request) -> str:
    """The Contact, if a request could be sent to it; else the address that the packets came from."""
    usable = SipUri.parse(request.contact) is not None and "|" not in request.contact
    return request.contact if usable else request.source_uri


def country_of(subscriber: Subscriber | None, tenant: Tenant | None) -> str:
    """The country by whose rules somebody's ordinary numbers are read: the user's, else the tenant's."""
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
