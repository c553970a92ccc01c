-- Holdfast's system of record: today's whole truth. sql/migrations/ leads here step by step, and a test compares both.
--
--   provisioning  what the `holdfast` command writes; every row carries a revision and comes down to every edge node
--   leases        copies of what the nodes lent, for rebuilding a node that lost its store, and for people to look at
--   journal       what the nodes report, as it was shipped
--
-- The provisioning tables have the names and columns of sql/edge.sql. Times that come from a node are UTC seconds
-- (Unix epoch); times of this database are timestamptz. Run inside one transaction as holdfast_owner (see roles.sql).

create schema holdfast;
set local search_path = holdfast, pg_temp;

create table schema_migration (
    version    integer     primary key check (version > 0),
    name       text        not null,
    applied_at timestamptz not null default now()
);

-- Kinds of text -----------------------------------------------------------------------------------------------------
-- What stands in these goes into SIP headers and file names sooner or later, so nothing that could end a line,
-- a quoted string or a parameter is let in here, once and for all.

-- E.164: + and at most 15 digits, the first not 0. At least 7, so that no emergency number can pose as one.
create domain e164 as text
    constraint e164_format check (value ~ '^\+[1-9][0-9]{6,14}$');

-- the form of ISO 3166-1 alpha-2; which countries are served is decided by the call's plan
create domain iso_country as text
    constraint iso_country_format check (value ~ '^[A-Z]{2}$');

-- what people call a thing: one line, nothing invisible
create domain name_text as text
    constraint name_text_one_line check (
        length(value) between 1 and 128 and value = btrim(value) and value !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]'
    );

-- a display name may also be empty
create domain line_text as text
    constraint line_text_one_line check (
        length(value) <= 128 and value !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]'
    );

-- user@realm; the user part needs no escaping in any SIP URI (RFC 3261 §25.1) and no quoting in a digest
create domain aor as text
    constraint aor_format check (
        value ~ '^[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$'
    );

-- Revisions ---------------------------------------------------------------------------------------------------------
-- An agent asks for every row above the last revision it holds. That misses nothing only if revisions become visible
-- in order, so all who write provisioning wait for one another: the lock is held until their transaction has ended.

create sequence revision_seq as bigint;

create table tombstone (
    -- a provisioning row that was deleted, for nodes that still hold it; one per key, the latest
    relation text   not null,
    row_key  text   not null,                      -- its primary key, as text
    revision bigint not null constraint tombstone_revision_once unique,
    primary key (relation, row_key)
);

-- 1213156420 is "HOLD" in ASCII; (…, 1) guards the revisions
create function wait_for_revisions() returns void
    language plpgsql set search_path = holdfast, pg_temp
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        -- the snapshot would be older than the lock, and the checks below blind to what was committed meanwhile
        raise exception 'provisioning is written in read committed transactions only'
            using errcode = 'HF001', hint = 'use the isolation level read committed';
    end if;
    perform pg_advisory_xact_lock(1213156420, 1);
end
$$;

create function before_provisioning() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    perform wait_for_revisions();
    return null;
end
$$;

-- per row, so as little as possible: 100 000 rows must take seconds
create function take_revision() returns trigger
    language plpgsql
as $$
begin
    new.revision := nextval('holdfast.revision_seq');
    return new;
end
$$;

create function after_provisioning() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    -- once per statement: it only wakes the agents, who then ask for everything they lack
    perform pg_notify('holdfast_changes', (select last_value::text from revision_seq));
    return null;
end
$$;

-- argument: the primary key's column
create function bury() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    execute format(
        'insert into tombstone (relation, row_key, revision)
         select %L, %I::text, nextval(''revision_seq'') from gone
         on conflict (relation, row_key) do update set revision = excluded.revision',
        tg_table_name, tg_argv[0]
    );
    return null;
end
$$;

create function refuse() returns trigger
    language plpgsql
as $$
begin
    raise exception '%', tg_argv[0] using errcode = 'HF001', hint = tg_argv[1];
end
$$;

-- Provisioning ------------------------------------------------------------------------------------------------------

create table node (
    id          integer   generated always as identity primary key,
    -- a name that can stand in a host name and a file name
    name        text      not null constraint node_name_format check (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    -- one address, not a network: the other nodes send calls there
    sip_address inet      not null constraint node_address_is_one_host
                          check (masklen(sip_address) = case family(sip_address) when 4 then 32 else 128 end),
    sip_port    integer   not null constraint node_port_range check (sip_port between 1 and 65535),
    revision    bigint    not null constraint node_revision_once unique,
    -- a node finds itself by its name
    constraint node_name_once unique (name),
    -- two nodes behind one address could not be told apart
    constraint node_address_once unique (sip_address, sip_port)
);

create table tenant (
    id                  integer     generated always as identity primary key,
    name                name_text   not null,
    country             iso_country not null,      -- the default for its users
    -- a tenant that may make no emergency call at all must not exist (A9)
    max_emergency_calls integer     not null default 10
                                    constraint tenant_emergency_calls_allowed check (max_emergency_calls > 0),
    security_desk       aor,
    revision            bigint      not null constraint tenant_revision_once unique,
    policy_id           integer,                   -- for users who have none of their own, nor through their site
    -- true: `country` is not believed; the client must say where a caller is, or a location or address must (A6)
    country_required    boolean     not null default false,
    -- 933 at once; apart from emergency calls, so that no test ever takes the place of one
    max_test_calls      integer     not null default 10 constraint tenant_test_calls_allowed check (max_test_calls > 0),
    -- the command line names tenants by name
    constraint tenant_name_once unique (name)
);

create table platform_number (
    number           e164    primary key,
    tenant_id        integer not null constraint platform_number_has_tenant references tenant,
    outbound_enabled boolean not null default true,
    revision         bigint  not null constraint platform_number_revision_once unique,
    trunk_group_id   integer,                      -- the carrier that owns the number (O1); null: the platform's own offer
    location_id      integer,                      -- its registered address (C1, C2)
    enhanced         boolean not null default false, -- straight to the local PSAP with that address: billed (C2)
    -- what the carrier that uploaded the number lets the tenant's administrator do with its address (O2)
    may_set_address    boolean not null default true,
    may_change_address boolean not null default true,
    may_delete_address boolean not null default true,
    -- there is nothing to send to a PSAP without an address
    constraint platform_number_enhanced_has_address check (not enhanced or location_id is not null),
    -- without a carrier nobody else could do what its administrator may not
    constraint platform_number_only_carriers_restrict
        check (trunk_group_id is not null or (may_set_address and may_change_address and may_delete_address)),
    -- what subscriber.number points at, so that nobody gets another tenant's number
    constraint platform_number_of_tenant unique (number, tenant_id)
);
create index platform_number_by_tenant on platform_number (tenant_id);

create table subscriber (
    id               integer   generated always as identity primary key,
    tenant_id        integer   not null constraint subscriber_has_tenant references tenant,
    username         text      not null constraint subscriber_username_format
                               check (username ~ '^[A-Za-z0-9_.+-]{1,64}$'),
    realm            text      not null constraint subscriber_realm_format
                               check (realm ~ '^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$'),
    -- MD5(username:realm:password), RFC 2617; the password itself is never stored
    ha1              text      not null constraint subscriber_ha1_format check (ha1 ~ '^[0-9a-f]{32}$'),
    display_name     line_text not null default '',
    number           e164,
    country          iso_country,                  -- null: the tenant's
    outbound_enabled boolean   not null default true,
    inbound_enabled  boolean   not null default true,
    do_not_disturb   boolean   not null default false,
    -- a number or an address of record; anything else could be made to dial an emergency number or a feature code
    forward_to       text      constraint subscriber_forward_format check (
                                   forward_to ~ '^\+[1-9][0-9]{6,14}$'
                                   or forward_to ~ '^[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$'
                               ),
    revision         bigint    not null constraint subscriber_revision_once unique,
    site_id          integer,
    policy_id        integer,                      -- null: the site's, else the tenant's
    -- a telephone in a corridor: its registered address is where it is (O4)
    common_area      boolean   not null default false,
    confirmed_location_id integer,                 -- where the user says they are
    -- a PBX that registers: it sends calls for all numbers of its tenant, and gets their callbacks back
    pbx              boolean   not null default false,
    -- a registration must say who it is
    constraint subscriber_username_once unique (username, realm),
    -- a call to the number must have one answer
    constraint subscriber_number_once unique (number),
    -- a user's own number is a platform number of the same tenant
    constraint subscriber_number_of_tenant foreign key (number, tenant_id) references platform_number (number, tenant_id),
    -- a forward to oneself would go round for ever
    constraint subscriber_forward_elsewhere check (forward_to <> username || '@' || realm and forward_to <> number)
);
create index subscriber_by_tenant on subscriber (tenant_id);

-- What can stand in a Request-URI as the called party: a number, or a sip: URI without headers.
create function is_call_uri(uri text) returns boolean
    language sql immutable
    return uri ~ '^(tel:)?\+?[0-9]{2,15}$' or uri ~ '^sips?:[A-Za-z0-9_.+*#-]{1,64}@[A-Za-z0-9.:\[\]-]{1,253}(;[A-Za-z0-9=._-]{1,64})*$'
        or uri ~ '^urn:service:sos(\.[a-z0-9-]+)*$';

-- A URI as it can stand between < and > and in XML (RFC 3986), at most 250 characters after its scheme.
create function is_uri(uri text) returns boolean
    language sql immutable
    return uri ~ '^[a-z]+:([]A-Za-z0-9._~:/?#[@!$&''()*+,;=-]|%[0-9A-Fa-f]{2}){1,250}$';

create function are_failure_codes(codes integer[]) returns boolean
    language sql immutable
    return coalesce((select bool_and(coalesce(code between 400 and 699, false)) from unnest(codes) as code), true);

create table trunk_group (
    id        integer   generated always as identity primary key,
    name      name_text not null,
    emergency boolean   not null default false,    -- carries emergency calls and delivers their callbacks
    ordinary  boolean   not null default false,    -- carries other calls out
    revision  bigint    not null constraint trunk_group_revision_once unique,
    -- whose own carrier or PBX it is (direct routing, D8); null: the platform's own offer
    tenant_id integer   constraint trunk_group_has_tenant references tenant,
    country   iso_country,                         -- whose calls it carries; null: any country's
    -- its far end is a screening or national emergency call centre, which asks for the address (A8, C1, L3, O5)
    screening boolean   not null default false,
    -- its far end is a tenant's PBX or SBC, which sends calls for many users and gets their callbacks back
    pbx       boolean   not null default false
              constraint trunk_group_pbx_of_tenant check (not pbx or tenant_id is not null),
    -- how the caller's location is told: in the body, by reference, by the provider's own id, by the CLI, or not
    location_method text not null default 'none'
              constraint trunk_group_location_method_known
              check (location_method in ('none', 'value', 'reference', 'provider_id', 'elin')),
    -- the header that carries the provider's own location id
    location_id_header text not null default 'X-Location-ID'
              constraint trunk_group_location_id_header_format check (location_id_header ~ '^[A-Za-z][A-Za-z0-9-]{0,63}$'),
    -- how the PSAP is found: one for all calls (psap_uri, or the number itself), by LoST, or by the group's boundaries
    psap_method text not null default 'fixed'
              constraint trunk_group_psap_method_known check (psap_method in ('fixed', 'lost', 'boundary')),
    psap_uri  text      constraint trunk_group_psap_uri_format check (is_call_uri(psap_uri)),
    lost_url  text      constraint trunk_group_lost_url_format check (lost_url ~ '^https?://[^/]' and is_uri(lost_url)),
    constraint trunk_group_lost_has_url check (psap_method <> 'lost' or lost_url is not null),
    -- a group that carries no call to a PSAP or screening centre would never use them
    constraint trunk_group_psap_is_used
              check (emergency or screening or (psap_method = 'fixed' and psap_uri is null and lost_url is null)),
    -- how long a trunk may say nothing, and how long it may ring, before the next one is tried
    answers_within_ms integer not null default 3000
              constraint trunk_group_answers_range check (answers_within_ms between 200 and 30000),
    rings_within_ms integer not null default 120000
              constraint trunk_group_rings_range check (rings_within_ms between 10000 and 600000),
    -- final answers that are the called party's own decision (RFC 3261 §21.4.20, §21.6): no other trunk is asked
    final_codes integer[] not null default '{486,600,603,604,606}'
              constraint trunk_group_final_codes_are_failures check (are_failure_codes(final_codes)),
    -- answers that may mean that the location's body is not taken: the call goes again at once without it (N8)
    location_refused_codes integer[] not null default '{405,415,488,513}'
              constraint trunk_group_refused_codes_are_failures check (are_failure_codes(location_refused_codes)),
    -- the command line names groups by name
    constraint trunk_group_name_once unique (name),
    -- what a pool points at: only a carrier of emergency calls delivers their callbacks
    constraint trunk_group_emergency_key unique (id, emergency)
);

-- every address must be one a trunk's calls can come from: not null, no bits beyond the mask (it would be unclear
-- whether the host or its network is meant), and no network so wide that strangers would be trusted (N9)
create function are_trunk_sources(addresses inet[]) returns boolean
    language sql immutable
    return cardinality(addresses) > 0
        and (select bool_and(coalesce(a = network(a) and masklen(a) >= 8, false)) from unnest(addresses) as a);

create table trunk (
    id               integer   generated always as identity primary key,
    trunk_group_id   integer   not null constraint trunk_has_group references trunk_group,
    name             name_text not null,
    -- a host name or an address without brackets
    host             text      not null constraint trunk_host_format check (host ~ '^[A-Za-z0-9_.:-]{1,253}$'),
    port             integer   not null default 5060 constraint trunk_port_range check (port between 1 and 65535),
    -- what Kamailio listens on
    transport        text      not null default 'udp'
                               constraint trunk_transport_known check (transport in ('udp', 'tcp', 'tls')),
    priority         integer   not null default 1 constraint trunk_priority_range check (priority between 0 and 1000),
    weight           integer   not null default 1 constraint trunk_weight_range check (weight between 1 and 1000),
    -- without one no callback could ever be recognised as the carrier's
    source_addresses inet[]    not null constraint trunk_sources_usable check (are_trunk_sources(source_addresses)),
    enabled          boolean   not null default true,
    revision         bigint    not null constraint trunk_revision_once unique,
    -- the name in the certificate that its calls over TLS must show; null: its address is enough
    certificate_name text      constraint trunk_certificate_name_format check (certificate_name ~ '^[A-Za-z0-9*_.-]{1,253}$'),
    -- only TLS shows a certificate: over anything else the trunk's calls would never be known as its own
    constraint trunk_certificate_needs_tls check (certificate_name is null or transport = 'tls'),
    -- the command line names trunks by name
    constraint trunk_name_once unique (name)
);
create index trunk_by_group on trunk (trunk_group_id);

create table pool (
    id             integer     generated always as identity primary key,
    name           name_text   not null,
    trunk_group_id integer     not null,
    country        iso_country not null,
    tenant_id      integer     constraint pool_has_tenant references tenant, -- null: the platform's, for every tenant
    -- the number stays the caller's for at least an hour (A3)
    window_s       integer     not null default 3600 constraint pool_window_an_hour check (window_s >= 3600),
    -- a late callback must not reach the next holder (N3); 0 is for a carrier that rests numbers itself
    rest_s         integer     not null default 3600 constraint pool_rest_not_negative check (rest_s >= 0),
    -- how many idle numbers the agent keeps on each node; 0 is for a pool of shared numbers only
    target_idle    integer     not null default 10 constraint pool_target_range check (target_idle between 0 and 100000),
    -- always true: makes the foreign key below ask for an emergency trunk group
    emergency      boolean     not null generated always as (true) stored,
    revision       bigint      not null constraint pool_revision_once unique,
    site_id        integer,                        -- lent to callers of this site alone, before the tenant's
    -- ELIN: lent to callers at this location alone, because the provider knows the location by the number (L7)
    location_id    integer,
    -- sites and locations are a tenant's
    constraint pool_place_of_tenant check ((site_id is null and location_id is null) or tenant_id is not null),
    -- the command line names pools by name
    constraint pool_name_once unique (name),
    -- the carrier behind the pool must deliver callbacks
    constraint pool_group_carries_emergency foreign key (trunk_group_id, emergency) references trunk_group (id, emergency)
);

create table pool_number (
    number         e164    primary key,
    pool_id        integer not null constraint pool_number_has_pool references pool,
    shared         boolean not null default false, -- lent to several callers at once when the pool is dry; rings all
    -- the node that lends it must exist
    owner_node_id  integer constraint pool_number_owner_exists references node,
    owner_store_id text,                           -- which of the node's stores claimed it
    revision       bigint  not null constraint pool_number_revision_once unique,
    -- an owner is a node and one store of it
    constraint pool_number_owner_whole check ((owner_node_id is null) = (owner_store_id is null)),
    -- every node may lend a shared number, so none owns it
    constraint pool_number_shared_unowned check (not (shared and owner_node_id is not null))
);
create index pool_number_by_pool on pool_number (pool_id);
create index pool_number_by_owner on pool_number (owner_node_id, pool_id) where owner_node_id is not null;
create index pool_number_free on pool_number (pool_id, number) where owner_node_id is null and not shared;

-- Places, policies and rules ----------------------------------------------------------------------------------------

create table site (
    -- a tenant's building or campus
    id            integer     generated always as identity primary key,
    tenant_id     integer     not null constraint site_has_tenant references tenant,
    name          name_text   not null,
    country       iso_country,                     -- null: the tenant's
    policy_id     integer,                         -- for its users who have none of their own
    security_desk aor,                             -- null: the tenant's
    revision      bigint      not null constraint site_revision_once unique,
    -- the command line names sites by tenant and name
    constraint site_name_once unique (tenant_id, name),
    -- what others point at, so that nobody gets another tenant's site
    constraint site_of_tenant unique (id, tenant_id)
);

create table location (
    -- where somebody can be: an emergency response location, or a number's registered address
    id           integer     generated always as identity primary key,
    tenant_id    integer     not null constraint location_has_tenant references tenant,
    site_id      integer,
    name         name_text   not null,
    country      iso_country not null,
    -- RFC 5139 element names and their texts, without the country
    civic        jsonb       not null default '{}'
                             constraint location_civic_is_object check (jsonb_typeof(civic) = 'object'),
    latitude     double precision constraint location_latitude_range check (latitude between -90 and 90),  -- WGS84
    longitude    double precision constraint location_longitude_range check (longitude between -180 and 180),
    constraint location_point_whole check ((latitude is null) = (longitude is null)),
    -- an address that says nothing helps nobody
    constraint location_says_where check (civic <> '{}' or latitude is not null),
    -- validated: by a LoST server or the carrier; manual: typed in by somebody; none: nothing vouches for it (L3)
    validation   text        not null default 'manual'
                             constraint location_validation_known check (validation in ('validated', 'manual', 'none')),
    -- what a provider that keeps locations itself calls this one
    provider_location_id text constraint location_provider_id_format
                             check (provider_location_id ~ '^[A-Za-z0-9._~:/?=&%+-]{1,250}$'),
    revision     bigint      not null constraint location_revision_once unique,
    -- the command line names locations by tenant and name
    constraint location_name_once unique (tenant_id, name),
    -- what others point at, so that nobody gets another tenant's location
    constraint location_of_tenant unique (id, tenant_id),
    constraint location_site_of_tenant foreign key (site_id, tenant_id) references site (id, tenant_id)
);
create index location_by_site on location (site_id) where site_id is not null;

create table network_element (
    -- where a device is, told by what it is attached to
    id          integer not null generated always as identity primary key,
    tenant_id   integer not null constraint network_element_has_tenant references tenant,
    kind        text    not null constraint network_element_kind_known
                        check (kind in ('subnet', 'bssid', 'switch', 'switch_port')),
    -- canonical: 192.0.2.0/24, 2001:db8::/32; 00-11-22-aa-bb-cc; a switch's chassis id; chassis id/port id
    element_key text    not null constraint network_element_key_format check (
                    case kind
                        when 'subnet' then element_key ~ '^[0-9a-f.:]{2,39}/[0-9]{1,3}$' and element_key::cidr::text = element_key
                        when 'bssid' then element_key ~ '^([0-9a-f]{2}-){5}[0-9a-f]{2}$'
                        when 'switch' then element_key ~ '^[A-Za-z0-9_.:-]{1,64}$'
                        else element_key ~ '^[A-Za-z0-9_.:-]{1,64}/[A-Za-z0-9_.:/-]{1,64}$'
                    end),
    location_id integer not null,
    revision    bigint  not null constraint network_element_revision_once unique,
    -- a device must be in one place; a subnet within a wider one is fine, the narrower counts
    constraint network_element_once unique (tenant_id, kind, element_key),
    constraint network_element_location_of_tenant foreign key (location_id, tenant_id) references location (id, tenant_id)
);
create index network_element_by_location on network_element (location_id);

create table policy (
    -- the location policy that applies to a user, a site or a whole tenant (L2)
    id               integer   generated always as identity primary key,
    tenant_id        integer   not null constraint policy_has_tenant references tenant,
    name             name_text not null,
    usage            name_text,                    -- whose routing rules its callers' calls follow; null: the direct offer
    -- told to the provider with the location (L1)
    notification_uri text      constraint policy_notification_format check (notification_uri ~ '^(sips?:|https?://)[^/]' and is_uri(notification_uri)),
    conference_uri   text      constraint policy_conference_format check (conference_uri ~ '^(sips?|tel):' and is_uri(conference_uri)),
    conference_mode  text      constraint policy_conference_mode_known check (conference_mode in ('oneway', 'twoway')),
    constraint policy_conference_whole check ((conference_mode is null) = (conference_uri is null)),
    revision         bigint    not null constraint policy_revision_once unique,
    constraint policy_name_once unique (tenant_id, name),
    constraint policy_of_tenant unique (id, tenant_id)
);

create table policy_mask (
    -- what else callers of a policy dial for an emergency number, such as 0-911 or 9-999 (L2)
    id        integer not null generated always as identity primary key,
    policy_id integer not null constraint policy_mask_has_policy references policy on delete cascade,
    -- at most six digits: no telephone number can be captured by it (N7)
    dialled   text    not null constraint policy_mask_dialled_format check (dialled ~ '^[0-9*#]{2,6}$'),
    sent      text    not null constraint policy_mask_sent_format check (sent ~ '^[0-9]{2,6}$'),
    revision  bigint  not null constraint policy_mask_revision_once unique,
    constraint policy_mask_once unique (policy_id, dialled)
);
create index policy_mask_by_dialled on policy_mask (dialled);

create table routing_rule (
    -- direct routing: emergency calls of a usage leave over the customer's own carrier (D8, L2)
    id               integer   generated always as identity primary key,
    tenant_id        integer   not null constraint routing_rule_has_tenant references tenant,
    usage            name_text not null,
    emergency_number text      not null constraint routing_rule_number_format check (emergency_number ~ '^([0-9]{2,6}|\*)$'), -- *: every one
    trunk_group_id   integer   not null,
    position         integer   not null default 1 constraint routing_rule_position_range check (position between 1 and 1000),
    emergency        boolean   not null generated always as (true) stored,
    revision         bigint    not null constraint routing_rule_revision_once unique,
    -- one order in which the carriers are tried
    constraint routing_rule_once unique (tenant_id, usage, emergency_number, position),
    -- the carrier must take emergency calls
    constraint routing_rule_group_carries_emergency foreign key (trunk_group_id, emergency) references trunk_group (id, emergency)
);

create table dial_rule (
    -- a tenant's dial plan for ordinary calls: the longest prefix counts; `strip` digits go, `prepend` comes before
    id        integer not null generated always as identity primary key,
    tenant_id integer not null constraint dial_rule_has_tenant references tenant,
    prefix    text    not null constraint dial_rule_prefix_format check (prefix ~ '^[0-9*#]{1,12}$'),
    strip     integer not null default 0 constraint dial_rule_strip_within_prefix check (strip between 0 and length(prefix)),
    prepend   text    not null default '' constraint dial_rule_prepend_format check (prepend ~ '^\+?[0-9]{0,15}$'),
    revision  bigint  not null constraint dial_rule_revision_once unique,
    constraint dial_rule_once unique (tenant_id, prefix)
);

create table country_rule (
    -- where the platform, or one tenant, does otherwise than the table of countries says (A6, D2, O5, O7)
    id          integer     generated always as identity primary key,
    tenant_id   integer     constraint country_rule_has_tenant references tenant, -- null: for every tenant
    country     iso_country not null,
    served      boolean,                           -- null: as the platform's rule, else the table, says; so below
    screening   text        constraint country_rule_screening_known check (screening in ('direct', 'national')),
    notify_desk boolean,
    revision    bigint      not null constraint country_rule_revision_once unique,
    constraint country_rule_says_something check (num_nonnulls(served, screening, notify_desk) > 0),
    constraint country_rule_once unique nulls not distinct (tenant_id, country)
);

create table boundary (
    -- the area that a PSAP serves, for trunk groups that want the PSAP named (psap_method 'boundary')
    id             integer   generated always as identity primary key,
    trunk_group_id integer   not null constraint boundary_has_group references trunk_group,
    name           name_text not null,
    psap_uri       text      not null constraint boundary_psap_uri_format check (is_call_uri(psap_uri)),
    -- rings of [latitude, longitude] in degrees, closed; the first of each polygon is its outline, the others holes
    polygons       jsonb     not null constraint boundary_polygons_are_array check (jsonb_typeof(polygons) = 'array'),
    min_latitude   double precision not null,
    max_latitude   double precision not null,
    min_longitude  double precision not null,
    max_longitude  double precision not null,
    revision       bigint    not null constraint boundary_revision_once unique,
    constraint boundary_box_whole check (min_latitude <= max_latitude and min_longitude <= max_longitude),
    constraint boundary_name_once unique (trunk_group_id, name)
);

create table location_psap (
    -- the PSAP that serves a location, asked of LoST or of the boundaries ahead of time: no call waits for it
    id             integer not null generated always as identity primary key,
    location_id    integer not null constraint location_psap_has_location references location on delete cascade,
    trunk_group_id integer not null constraint location_psap_has_group references trunk_group on delete cascade,
    psap_uri       text    not null constraint location_psap_uri_format check (is_call_uri(psap_uri)),
    found_by       text    not null constraint location_psap_found_by_known check (found_by in ('lost', 'boundary')),
    valid_until    double precision,               -- UTC seconds, as the LoST server said; an old answer is still used
    revision       bigint  not null constraint location_psap_revision_once unique,
    constraint location_psap_once unique (location_id, trunk_group_id)
);
create index location_psap_by_group on location_psap (trunk_group_id);

-- What the tables above could not point at when they were made. Always with the tenant: nobody gets another's.
alter table tenant add constraint tenant_policy_is_its_own foreign key (policy_id, id) references policy (id, tenant_id);
alter table site add constraint site_policy_of_tenant foreign key (policy_id, tenant_id) references policy (id, tenant_id);
alter table platform_number
    add constraint platform_number_has_group foreign key (trunk_group_id) references trunk_group,
    add constraint platform_number_address_of_tenant
        foreign key (location_id, tenant_id) references location (id, tenant_id);
alter table subscriber
    add constraint subscriber_site_of_tenant foreign key (site_id, tenant_id) references site (id, tenant_id),
    add constraint subscriber_policy_of_tenant foreign key (policy_id, tenant_id) references policy (id, tenant_id),
    add constraint subscriber_location_of_tenant
        foreign key (confirmed_location_id, tenant_id) references location (id, tenant_id);
alter table pool
    add constraint pool_site_of_tenant foreign key (site_id, tenant_id) references site (id, tenant_id),
    add constraint pool_location_of_tenant foreign key (location_id, tenant_id) references location (id, tenant_id);
create index platform_number_by_location on platform_number (location_id) where location_id is not null;

create table provisioning_change (
    -- one row per committed change: when the connection broke during a commit, whether it took effect is read here
    id    uuid        primary key,
    at    timestamptz not null default now(),
    login text        not null default session_user,
    what  text        not null                     -- the command, without secrets
);

-- One number, one use: a pool number that were a user's would ring that user instead of the emergency caller.
create function refuse_pool_number_in_use() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    taken text;
begin
    select number into taken from added join platform_number using (number) limit 1;
    if found then
        raise exception '% is a platform number, so it cannot be a callback number', taken
            using errcode = 'HF001', constraint = 'number_has_one_use',
                  hint = 'put only numbers into a pool that no tenant uses';
    end if;
    return null;
end
$$;

create function refuse_platform_number_in_pool() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    taken text;
begin
    select number into taken from added join pool_number using (number) limit 1;
    if found then
        raise exception '% is a callback number of a pool, so it cannot be a platform number', taken
            using errcode = 'HF001', constraint = 'number_has_one_use',
                  hint = 'give tenants only numbers that are in no pool';
    end if;
    return null;
end
$$;

-- A trunk that leads to one of our own nodes would send an emergency call round and round.

-- The address that a host is; null: it is a name. An IPv4 address written as IPv6 (::ffff:192.0.2.1) is that address.
create function host_address(host text) returns inet
    language plpgsql immutable set search_path = holdfast, pg_temp
as $$
begin
    return regexp_replace(host, '^::ffff:(?=[0-9]+\.)', '', 'i')::inet;
exception when invalid_text_representation then
    return null;
end
$$;

-- Which node listens at one of these addresses; null: none.
create function node_at(addresses inet[], port integer) returns text
    language sql stable set search_path = holdfast, pg_temp
    return (select n.name from node n where n.sip_address = any (addresses) and n.sip_port = port order by n.name limit 1);

create function refuse_trunk_loop() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    met text := node_at(array[host_address(new.host)], new.port);
begin
    -- "any address" is this very node to whoever sends there, and the others are nobody's
    if host_address(new.host) in (inet '0.0.0.0', inet '::', inet '255.255.255.255')
       or host_address(new.host) <<= inet '224.0.0.0/4' or host_address(new.host) <<= inet 'ff00::/8' then
        raise exception 'trunk % leads nowhere: % is no host''s address', new.name, new.host
            using errcode = 'HF001', constraint = 'trunk_leads_elsewhere',
                  hint = 'give the host and port of the carrier or PBX';
    end if;
    if met is not null then
        raise exception 'trunk % leads back to us: node % is at % port %', new.name, met, new.host, new.port
            using errcode = 'HF001', constraint = 'trunk_leads_elsewhere',
                  hint = 'give the host and port of the carrier or PBX';
    end if;
    return null;
end
$$;

create function refuse_node_at_trunk() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    met text;
begin
    select t.name into met from trunk t
    where t.port = new.sip_port and host_address(t.host) = new.sip_address order by t.name limit 1;
    if found then
        raise exception 'node % would be where trunk % leads: its calls would come back to us', new.name, met
            using errcode = 'HF001', constraint = 'trunk_leads_elsewhere',
                  hint = 'correct the node''s address and port, or the trunk with ''holdfast trunk set''';
    end if;
    return null;
end
$$;

-- N9: whose call it is, and whether a PBX or a carrier sent it, is known by the address it comes from.
create function refuse_ambiguous_sources(p_group_id integer) returns void
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    met record;
begin
    select mine.name as mine, theirs.name as theirs, other.name as other_group, host(a) as address,
           own.tenant_id is distinct from other.tenant_id as of_others
    into met
    from trunk_group own
    join trunk mine on mine.trunk_group_id = own.id
    cross join unnest(mine.source_addresses) as a
    join trunk_group other on other.tenant_id is distinct from own.tenant_id or other.pbx <> own.pbx
    join trunk theirs on theirs.trunk_group_id = other.id
    cross join unnest(theirs.source_addresses) as b
    where own.id = p_group_id and a && b
    order by mine.name, theirs.name limit 1;
    if found then
        raise exception 'calls of trunk % (from %) could not be told from those of trunk % in group %, which %',
            met.mine, met.address, met.theirs, met.other_group,
            case when met.of_others then 'belongs to somebody else' else 'is the other of carrier and PBX' end
            using errcode = 'HF001', constraint = 'trunk_origin_clear',
                  hint = 'give each --source addresses of its own, or put both trunks into one group';
    end if;
end
$$;

create function check_trunk_sources() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    perform refuse_ambiguous_sources(new.trunk_group_id);
    return null;
end
$$;

-- A pool's numbers are called back over its trunk group: for the tenant whose carrier that is, and in its country.
create function refuse_pool_contradictions(p_pool pool) returns void
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    carrier trunk_group;
begin
    select * into carrier from trunk_group where id = p_pool.trunk_group_id;
    if carrier.tenant_id is not null and carrier.tenant_id is distinct from p_pool.tenant_id then
        raise exception 'trunk group % is a tenant''s own carrier, and pool % is not that tenant''s',
            carrier.name, p_pool.name
            using errcode = 'HF001', constraint = 'pool_tenant_is_its_carriers',
                  hint = 'name the group''s tenant for the pool (--tenant), or another group';
    end if;
    if carrier.country <> p_pool.country then
        raise exception 'trunk group % carries calls of %, and pool % has numbers of %',
            carrier.name, carrier.country, p_pool.name, p_pool.country
            using errcode = 'HF001', constraint = 'pool_country_is_its_carriers',
                  hint = 'name a group of the pool''s country, or one of no country';
    end if;
    if p_pool.location_id is not null and carrier.location_method <> 'elin' then
        raise exception 'pool % is a location''s, and trunk group % does not tell locations by the number',
            p_pool.name, carrier.name
            using errcode = 'HF001', constraint = 'pool_of_location_is_elin',
                  hint = 'name a group made with --location elin';
    end if;
end
$$;

create function check_pool() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    perform refuse_pool_contradictions(new);
    return null;
end
$$;

-- D8: a tenant's calls leave over its own carriers or the platform's, never over another tenant's.
create function refuse_foreign_route(p_rule routing_rule) returns void
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    carrier text;
begin
    select name into carrier from trunk_group where id = p_rule.trunk_group_id and tenant_id <> p_rule.tenant_id;
    if found then
        raise exception 'trunk group % is the carrier of another tenant than the one whose usage % is routed over it',
            carrier, p_rule.usage
            using errcode = 'HF001', constraint = 'routing_rule_group_of_tenant',
                  hint = 'name a group of that tenant, or one of the platform''s; ''holdfast trunk-group list'' shows them';
    end if;
end
$$;

create function check_route() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    perform refuse_foreign_route(new);
    return null;
end
$$;

-- A group that changes takes its trunks, pools and rules along: what was right for them must still be.
create function check_group_in_use() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    perform refuse_ambiguous_sources(new.id);
    perform refuse_pool_contradictions(p) from pool p where p.trunk_group_id = new.id;
    perform refuse_foreign_route(r) from routing_rule r where r.trunk_group_id = new.id;
    return null;
end
$$;

-- O2: the carrier that uploads a number says whether others may set, change or delete its emergency address; what it
-- said before counts. A command that acts for a carrier says so: set_config('holdfast.for_carrier', <trunk group's id>).
create function acts_for_carrier(carrier_id integer) returns boolean
    language sql stable
    return coalesce(current_setting('holdfast.for_carrier', true) = carrier_id::text, false);

create function refuse_against_carrier() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    carrier    text;
    restricted boolean;
    refused    text;
begin
    if old.trunk_group_id is null or acts_for_carrier(old.trunk_group_id) then
        return case tg_op when 'DELETE' then old else new end;
    end if;
    restricted := not (old.may_set_address and old.may_change_address and old.may_delete_address);
    if tg_op = 'DELETE' then
        refused := case when restricted then 'remove the number ' || old.number end;
    else
        refused := case
            when (old.may_set_address, old.may_change_address, old.may_delete_address)
                 <> (new.may_set_address, new.may_change_address, new.may_delete_address)
                then 'say what may be done with the emergency address of ' || old.number
            when restricted and old.trunk_group_id is distinct from new.trunk_group_id
                then 'give ' || old.number || ' to another carrier'
            when old.location_id is null and new.location_id is not null and not old.may_set_address
                then 'set the emergency address of ' || old.number
            when old.location_id is not null and new.location_id is null and not old.may_delete_address
                then 'delete the emergency address of ' || old.number
            when old.location_id <> new.location_id and not old.may_change_address
                then 'change the emergency address of ' || old.number
        end;
    end if;
    if refused is not null then
        select name into carrier from trunk_group where id = old.trunk_group_id;
        raise exception 'its carrier, %, lets nobody else %', carrier, refused
            using errcode = 'HF001', constraint = 'carrier_decides_address',
                  hint = 'ask the carrier; ''holdfast number carrier-update'' does what the carrier says';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end
$$;

create function refuse_address_against_carrier() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    held record;
begin
    select n.number, g.name as carrier into held
    from platform_number n join trunk_group g on g.id = n.trunk_group_id
    where n.location_id = old.id and not n.may_change_address and not acts_for_carrier(g.id)
    order by n.number limit 1;
    if found then
        raise exception '% is the emergency address of %, and that number''s carrier, %, lets nobody else change it',
            old.name, held.number, held.carrier
            using errcode = 'HF001', constraint = 'carrier_decides_address',
                  hint = 'ask the carrier; ''holdfast location set'' with --for-carrier does what the carrier says';
    end if;
    return new;
end
$$;

-- O1: a number's calls go to the carrier that owns it, so it must be one that can take them, and nobody else's.
create function refuse_unfit_carrier(p_number e164, p_tenant_id integer, p_group_id integer) returns void
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    carrier trunk_group;
    reason  text;
begin
    select * into carrier from trunk_group where id = p_group_id;
    reason := case
        when carrier.tenant_id <> p_tenant_id then 'is another tenant''s own carrier'
        when carrier.pbx then 'is a PBX, which owns no numbers'
        when not carrier.emergency then 'carries no emergency calls'
    end;
    if reason is not null then
        raise exception '% cannot be a number of trunk group %, which %', p_number, carrier.name, reason
            using errcode = 'HF001', constraint = 'carrier_serves_number',
                  hint = 'name the carrier''s group that was made with --emergency, or none';
    end if;
end
$$;

create function check_carriers_of_numbers() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    -- one look for each carrier: imports bring 100 000 numbers at once
    perform refuse_unfit_carrier(n.number, n.tenant_id, n.trunk_group_id)
    from (select distinct on (tenant_id, trunk_group_id) number, tenant_id, trunk_group_id
          from added where trunk_group_id is not null order by tenant_id, trunk_group_id, number) n;
    return null;
end
$$;

create function check_numbers_of_carrier() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    perform refuse_unfit_carrier(n.number, n.tenant_id, new.id)
    from (select distinct on (tenant_id) number, tenant_id
          from platform_number where trunk_group_id = new.id order by tenant_id, number) n;
    return null;
end
$$;

-- a PSAP that was found for another address, or in another way, serves nobody
create function forget_psaps() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    if tg_table_name = 'location' then
        delete from location_psap where location_id = new.id;
    else
        delete from location_psap where trunk_group_id = new.id and found_by <> new.psap_method;
    end if;
    return null;
end
$$;

-- Leases ------------------------------------------------------------------------------------------------------------
-- Copies of what the nodes lent. The nodes decide; nothing here may keep a node's report out, so there are no foreign
-- keys to provisioning (which may have changed since) and no stricter checks than sql/edge.sql has.

create table lease (
    id            text             primary key,
    number        text             not null,
    pool_id       integer          not null,
    shared        boolean          not null,
    caller_key    text             not null,
    tenant_id     integer,
    subscriber_id integer,
    aor           text,
    display_name  text             not null,
    contact_uri   text             not null,
    source_uri    text             not null,
    window_s      integer          not null constraint lease_window_an_hour check (window_s >= 3600), -- A3
    rest_s        integer          not null constraint lease_rest_not_negative check (rest_s >= 0),
    first_dial_at double precision not null,
    last_end_at   double precision,
    marked_at     double precision not null,
    boot_id       text             not null,
    boottime_s    double precision not null,
    node_id       integer          not null constraint lease_node_exists references node,
    store_id      text             not null,
    seq           bigint           not null        -- the journal row this came with
);
-- N3: a number that is not a shared one has at most one holder, live or resting
create unique index lease_one_holder on lease (number) where not shared;
-- the same caller gets the same number of a pool again; another node would have lent another
create unique index lease_one_per_caller on lease (node_id, caller_key, pool_id);
create index lease_by_number on lease (number);

create unlogged table node_calls (
    -- how many calls each tenant has in progress on each node now, as exchange_call_counts has read it; a node says it
    -- again every moment, so nothing is lost when this is: after a crash, or on a standby that takes over, it is empty
    node_id     integer     primary key constraint node_calls_node_exists references node on delete cascade,
    counts      jsonb       not null constraint node_calls_is_array check (jsonb_typeof(counts) = 'array'),
    reported_at timestamptz not null
);

create table lease_conflict (
    -- two nodes reported that they lent one number at once, which N3 forbids: evidence, and an alarm for `doctor`
    at               timestamptz not null default now(),
    number           text        not null,
    kept_lease_id    text        not null,
    kept_node_id     integer     not null,
    dropped_lease_id text        not null,
    dropped_node_id  integer     not null,
    -- the same two leases are one conflict, however often they are shipped
    primary key (kept_lease_id, dropped_lease_id)
);

create table location_reference (
    -- what a location URI stands for (RFC 6753), until it expires. Of the URI's token only the SHA-256 is kept: whoever
    -- reads this table, a copy or a backup of it cannot fetch by it.
    token_digest bytea            primary key constraint location_reference_digest_is_sha256
                                  check (octet_length(token_digest) = 32),
    -- a PIDF-LO (RFC 4119); what is longer could not have come in a SIP message
    document     text             not null constraint location_reference_document_size
                                  check (length(document) between 1 and 65536),
    -- UTC seconds; infinity and NaN, which counts as more, would be for ever
    expires_at   double precision not null constraint location_reference_expires check (expires_at < 'infinity'),
    node_id      integer          not null constraint location_reference_node_exists references node on delete cascade
);
create index location_reference_by_expiry on location_reference (expires_at);

-- Journal -----------------------------------------------------------------------------------------------------------

create table journal (
    node_id   integer          not null constraint journal_node_exists references node,
    store_id  text             not null,
    seq       bigint           not null constraint journal_seq_positive check (seq > 0),
    at        double precision not null,
    kind      text             not null,
    -- of a lease only its id stands here: who held it is in `lease`, and is erased with it (A3); so it is with a
    -- `location_reference`
    payload   jsonb            not null constraint journal_payload_is_object check (jsonb_typeof(payload) = 'object'),
    -- a rebuilt store counts from 1 again, under another store_id; shipping a row twice is harmless
    primary key (node_id, store_id, seq)
);
create index journal_by_time on journal (at);
create index journal_call_started on journal ((payload ->> 'lease_id')) where kind = 'call_started';
create index journal_call_ended on journal ((payload ->> 'call_id')) where kind = 'call_ended';
create index journal_lease_erased on journal ((payload ->> 'id')) where kind = 'lease_erased';

-- a call whose end nobody saw counts as in progress for this long: core.lease.MAX_CALL_S
create function max_call_s() returns integer language sql immutable return 86400;

create function epoch_now() returns double precision
    language sql stable return extract(epoch from clock_timestamp())::double precision;

create view call_in_progress as
    select s.node_id,
           s.store_id,
           s.payload ->> 'call_id'             as call_id,
           s.payload ->> 'kind'                as kind,
           s.payload ->> 'lease_id'            as lease_id,
           s.payload ->> 'number'              as number,
           (s.payload ->> 'tenant_id')::integer as tenant_id,
           s.at                                as started_at
    from journal s
    where s.kind = 'call_started'
      and s.at > epoch_now() - max_call_s()
      and not exists (
          select from journal e
          where e.kind = 'call_ended' and e.payload ->> 'call_id' = s.payload ->> 'call_id'
            and e.payload ->> 'kind' = s.payload ->> 'kind'
            -- a callback to a shared number is one call on each holder's lease
            and e.payload ->> 'lease_id' is not distinct from s.payload ->> 'lease_id'
            and e.node_id = s.node_id and e.store_id = s.store_id and e.seq > s.seq
      );

-- N2, N3: live or resting, as core.lease.state says, by this database's clock and what the node has shipped
create function is_held(l lease) returns boolean
    language sql stable set search_path = holdfast, pg_temp
    return l.marked_at + l.window_s + l.rest_s > epoch_now()
        or exists (select from call_in_progress c where c.lease_id = l.id);

create function refuse_held_number() returns trigger
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    if exists (select from lease l where l.number = old.number and is_held(l)) then
        raise exception '% is lent to an emergency caller, or rests after that', old.number
            using errcode = 'HF001', constraint = 'number_is_held',
                  hint = 'wait until its lease has ended; ''holdfast lease show ' || old.number || ''' says when';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end
$$;

-- N3: whoever still holds the number would lose their callback, or share it with the next holder
create trigger pool_number_held_on_delete before delete on pool_number
    for each row execute function refuse_held_number();
create trigger pool_number_held_on_change before update on pool_number
    for each row when (
        old.owner_node_id is distinct from new.owner_node_id
        or old.pool_id <> new.pool_id
        or old.shared <> new.shared
    ) execute function refuse_held_number();

-- Triggers of every provisioning table ------------------------------------------------------------------------------

do $$
declare
    relation text;
    key      text;
begin
    foreach relation in array
        array['node', 'tenant', 'platform_number', 'subscriber', 'trunk_group', 'trunk', 'pool', 'pool_number',
              'site', 'location', 'network_element', 'policy', 'policy_mask', 'routing_rule', 'dial_rule',
              'country_rule', 'boundary', 'location_psap']
    loop
        key := case when relation in ('platform_number', 'pool_number') then 'number' else 'id' end;
        execute format(
            'create trigger a_wait before insert or update or delete on %I
                 for each statement execute function before_provisioning()', relation);
        execute format(
            'create trigger z_revision before insert or update on %I
                 for each row execute function take_revision()', relation);
        execute format(
            'create trigger bury after delete on %I referencing old table as gone
                 for each statement execute function bury(%L)', relation, key);
        execute format(
            'create trigger notify after insert or update or delete on %I
                 for each statement execute function after_provisioning()', relation);
        -- a row under another key is another row, and nodes that hold the old one would keep it
        execute format(
            'create trigger key_stays before update on %I for each row when (old.%2$I is distinct from new.%2$I)
                 execute function refuse(%3$L, %4$L)',
            relation, key, relation || '.' || key || ' cannot be changed', 'delete the row and make another');
        -- TRUNCATE leaves no tombstones: the nodes would keep every row
        execute format(
            'create trigger no_truncate before truncate on %I for each statement execute function refuse(%L, %L)',
            relation, relation || ' cannot be truncated', 'use DELETE, which the edge nodes are told of');
    end loop;
end
$$;

create trigger one_use_on_insert after insert on pool_number referencing new table as added
    for each statement execute function refuse_pool_number_in_use();
create trigger one_use_on_insert after insert on platform_number referencing new table as added
    for each statement execute function refuse_platform_number_in_pool();

create trigger carrier_decides_address before update or delete on platform_number
    for each row execute function refuse_against_carrier();
create trigger carrier_decides_address before update on location
    for each row when (
        (old.civic, old.latitude, old.longitude, old.country, old.validation, old.provider_location_id)
        is distinct from
        (new.civic, new.latitude, new.longitude, new.country, new.validation, new.provider_location_id)
    ) execute function refuse_address_against_carrier();
create trigger carrier_fits_on_insert after insert on platform_number referencing new table as added
    for each statement execute function check_carriers_of_numbers();
create trigger carrier_fits_on_update after update on platform_number referencing new table as added
    for each statement execute function check_carriers_of_numbers();
create trigger numbers_fit_carrier after update of tenant_id, emergency, pbx on trunk_group
    for each row execute function check_numbers_of_carrier();
create trigger forget_psaps after update on location
    for each row when (
        (old.civic, old.latitude, old.longitude, old.country)
        is distinct from (new.civic, new.latitude, new.longitude, new.country)
    ) execute function forget_psaps();
create trigger forget_psaps after update on trunk_group
    for each row when (old.psap_method <> new.psap_method) execute function forget_psaps();
create trigger leads_elsewhere after insert or update of host, port on trunk
    for each row execute function refuse_trunk_loop();
create trigger leads_elsewhere after insert or update of sip_address, sip_port on node
    for each row execute function refuse_node_at_trunk();
create trigger origin_clear after insert or update of trunk_group_id, source_addresses on trunk
    for each row execute function check_trunk_sources();
create trigger fits_its_group after insert or update of trunk_group_id, tenant_id, country, location_id on pool
    for each row execute function check_pool();
create trigger fits_its_group after insert or update of trunk_group_id, tenant_id on routing_rule
    for each row execute function check_route();
create trigger fits_its_use after update of tenant_id, country, pbx, location_method on trunk_group
    for each row execute function check_group_in_use();

-- What an agent calls -----------------------------------------------------------------------------------------------

-- Provisioning rows above revision `after`, in order, at most max_rows; row_data null: the row was deleted.
-- Fewer than max_rows means that there are no more.
create function changes_since(after bigint, max_rows integer)
    returns table (revision bigint, relation text, row_key text, row_data jsonb)
    language sql stable security definer set search_path = holdfast, pg_temp
as $$
    select c.revision, c.relation, c.row_key, c.row_data - array['revision']
    from (
        (select t.revision, 'node' as relation, t.id::text as row_key, to_jsonb(t) as row_data
         from node t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'tenant', t.id::text, to_jsonb(t)
         from tenant t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'platform_number', t.number::text, to_jsonb(t)
         from platform_number t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'subscriber', t.id::text, to_jsonb(t)
         from subscriber t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'trunk_group', t.id::text, to_jsonb(t)
         from trunk_group t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'trunk', t.id::text, to_jsonb(t)
         from trunk t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'pool', t.id::text, to_jsonb(t) - 'emergency'
         from pool t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'pool_number', t.number::text, to_jsonb(t)
         from pool_number t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'site', t.id::text, to_jsonb(t)
         from site t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'location', t.id::text, to_jsonb(t)
         from location t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'network_element', t.id::text, to_jsonb(t)
         from network_element t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'policy', t.id::text, to_jsonb(t)
         from policy t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'policy_mask', t.id::text, to_jsonb(t)
         from policy_mask t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'routing_rule', t.id::text, to_jsonb(t) - 'emergency'
         from routing_rule t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'dial_rule', t.id::text, to_jsonb(t)
         from dial_rule t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'country_rule', t.id::text, to_jsonb(t)
         from country_rule t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'boundary', t.id::text, to_jsonb(t)
         from boundary t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, 'location_psap', t.id::text, to_jsonb(t)
         from location_psap t where t.revision > after order by t.revision limit max_rows)
        union all
        (select t.revision, t.relation, t.row_key, null
         from tombstone t where t.revision > after order by t.revision limit max_rows)
    ) c
    order by c.revision
    limit max_rows
$$;

-- Give a node up to p_wanted free numbers of a pool; returns those it got. They come down as changes, too: an agent
-- that did not hear the answer finds them there.
create function claim_numbers(p_node_id integer, p_store_id text, p_pool_id integer, p_wanted integer)
    returns setof text
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    -- before any row is locked, as every other writer does: otherwise two could wait for each other
    perform wait_for_revisions();
    return query
        update pool_number p
        set owner_node_id = p_node_id, owner_store_id = p_store_id
        from (
            select f.number
            from pool_number f
            where f.pool_id = p_pool_id and f.owner_node_id is null and not f.shared
              and not exists (select from lease l where l.number = f.number and is_held(l))
            order by f.number
            limit greatest(p_wanted, 0)
            for update skip locked
        ) free
        where p.number = free.number
        returning p.number::text;
end
$$;

-- The leases that a node reported and that are not erased, for a store that starts empty.
create function leases_of_node(p_node_id integer) returns setof lease
    language sql stable security definer set search_path = holdfast, pg_temp
as $$
    select * from lease where node_id = p_node_id order by seq
$$;

-- One lease as a node reported it. An older report never replaces a newer one.
create function record_lease(p_node_id integer, p_store_id text, p_seq bigint, p_row jsonb) returns void
    language plpgsql set search_path = holdfast, pg_temp
as $$
declare
    reported       lease;
    other          lease;
    other_is_newer boolean;
begin
    reported := jsonb_populate_record(
        null::lease, p_row || jsonb_build_object('node_id', p_node_id, 'store_id', p_store_id, 'seq', p_seq));

    if exists (
        select from journal
        where kind = 'lease_erased' and payload ->> 'id' = reported.id
          and node_id = p_node_id and store_id = p_store_id and seq > p_seq
    ) then
        return;                                    -- it came late: the lease is gone since
    end if;

    for other in
        select * from lease l
        where l.id <> reported.id
          and (l.number = reported.number and not l.shared and not reported.shared
               or l.node_id = p_node_id and l.caller_key = reported.caller_key and l.pool_id = reported.pool_id)
        for update
    loop
        other_is_newer := other.marked_at > reported.marked_at;
        if other.node_id <> p_node_id and is_held(other) and is_held(reported) then
            insert into lease_conflict (number, kept_lease_id, kept_node_id, dropped_lease_id, dropped_node_id)
            select reported.number,
                   case when other_is_newer then other.id else reported.id end,
                   case when other_is_newer then other.node_id else reported.node_id end,
                   case when other_is_newer then reported.id else other.id end,
                   case when other_is_newer then reported.node_id else other.node_id end
            on conflict do nothing;
        end if;
        if other_is_newer then
            return;                                -- whoever was lent it last is who a callback is for
        end if;
        delete from lease where id = other.id;
    end loop;

    delete from lease l
    where l.id = reported.id
      and case when l.store_id = p_store_id then l.seq < p_seq else l.marked_at <= reported.marked_at end;
    insert into lease select reported.* on conflict (id) do nothing;
end
$$;

-- The end of one lease as a node reported it.
create function erase_lease(p_store_id text, p_seq bigint, p_at double precision, p_lease_id text) returns void
    language sql set search_path = holdfast, pg_temp
as $$
    delete from lease l
    where l.id = p_lease_id and case when l.store_id = p_store_id then l.seq < p_seq else l.marked_at <= p_at end
$$;

-- What stands for a location URI's token here; null, which no table takes, if it has less than the 128 bits (22
-- characters of base64url) that cannot be guessed.
create function location_token_digest(p_payload jsonb) returns bytea
    language sql immutable set search_path = holdfast, pg_temp
    return case when length(p_payload ->> 'token') >= 22 then sha256(convert_to(p_payload ->> 'token', 'UTF8')) end;

-- What location URIs stand for, as a node reported it: an array of {token, document, expires_at}. Should two speak of
-- one token, the same one is kept whichever comes first.
create function record_references(p_node_id integer, p_references jsonb) returns void
    language sql set search_path = holdfast, pg_temp
as $$
    insert into location_reference as kept (token_digest, document, expires_at, node_id)
    select distinct on (token_digest) token_digest, document, expires_at, p_node_id
    from (
        select location_token_digest(r) as token_digest, r ->> 'document' as document,
               (r ->> 'expires_at')::double precision as expires_at
        from jsonb_array_elements(p_references) as r
    ) reported
    where (expires_at <= epoch_now()) is not true
    order by token_digest, expires_at desc, document desc
    on conflict (token_digest) do update
        set document = excluded.document, expires_at = excluded.expires_at, node_id = excluded.node_id
        where (excluded.expires_at, excluded.document) > (kept.expires_at, kept.document)
$$;

-- Take a node's journal rows: an array of {seq, at, kind, payload}. Rows that are here already change nothing, in
-- whatever order and however often they come. Returns the highest seq that is stored of this store.
create function ship_journal(p_node_id integer, p_store_id text, p_entries jsonb) returns bigint
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    new_seqs bigint[];
    entry    record;
begin
    -- one at a time for each node: an agent that was thought dead may still be shipping
    perform pg_advisory_xact_lock(1213156421, p_node_id);

    with stored as (
        insert into journal (node_id, store_id, seq, at, kind, payload)
        select p_node_id, p_store_id, e.seq, e.at, e.kind,
               case e.kind
                   when 'lease' then jsonb_build_object('id', e.payload ->> 'id')
                   when 'location_reference' then
                       jsonb_build_object('call_id', e.payload ->> 'call_id',
                                          'token_sha256', encode(location_token_digest(e.payload), 'hex'))
                   else e.payload
               end
        from jsonb_to_recordset(p_entries) as e (seq bigint, at double precision, kind text, payload jsonb)
        on conflict do nothing
        returning seq
    )
    select array_agg(seq) into new_seqs from stored;

    -- of each lease only its last state matters
    for entry in
        select * from (
            select distinct on (e.payload ->> 'id') e.seq, e.at, e.kind, e.payload
            from jsonb_to_recordset(p_entries) as e (seq bigint, at double precision, kind text, payload jsonb)
            where e.kind in ('lease', 'lease_erased') and e.seq = any (new_seqs)
            order by e.payload ->> 'id', e.seq desc
        ) last_states
        order by seq
    loop
        if entry.kind = 'lease' then
            perform record_lease(p_node_id, p_store_id, entry.seq, entry.payload);
        else
            perform erase_lease(p_store_id, entry.seq, entry.at, entry.payload ->> 'id');
        end if;
    end loop;

    perform record_references(p_node_id, (
        select jsonb_agg(e.payload)
        from jsonb_to_recordset(p_entries) as e (seq bigint, kind text, payload jsonb)
        where e.kind = 'location_reference' and e.seq = any (new_seqs)
    ));

    return (select max(seq) from journal where node_id = p_node_id and store_id = p_store_id);
end
$$;

-- A3: forget who held a number once its window and rest are over, also of a node that never reports again.
-- Returns how many were forgotten.
create function erase_ended_leases() returns integer
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    erased integer;
begin
    delete from lease l where not is_held(l);
    get diagnostics erased = row_count;
    return erased;
end
$$;

-- What a location URI stands for, by its token's SHA-256; null: nothing, or not any more.
create function location_by_reference(p_token_digest bytea) returns text
    language sql stable security definer set search_path = holdfast, pg_temp
as $$
    select document from location_reference where token_digest = p_token_digest and expires_at > epoch_now()
$$;

-- Forget where callers were once their location URIs have expired. Returns how many were forgotten.
create function erase_expired_references() returns integer
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    erased integer;
begin
    delete from location_reference where expires_at <= epoch_now();
    get diagnostics erased = row_count;
    return erased;
end
$$;

-- A9: a node says how many calls each tenant has in progress there, {tenant_id, kind, calls}, and hears how many each
-- has on the other nodes. What a node that fell silent said counts for ten seconds more, by this server's clock alone.
-- What is kept was read first, so what cannot be read is refused to its sender and never met by anybody else.
create function exchange_call_counts(p_node_id integer, p_counts jsonb)
    returns table (tenant_id integer, kind text, calls integer)
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
    said jsonb;
begin
    select coalesce(jsonb_agg(c order by c.tenant_id, c.kind), '[]') into said
    from (
        select r.tenant_id, r.kind, least(sum(r.calls), 1000000) as calls
        from jsonb_to_recordset(p_counts) as r (tenant_id integer, kind text, calls integer)
             join tenant t on t.id = r.tenant_id
        where r.kind in ('emergency', 'readback') and r.calls > 0
        group by r.tenant_id, r.kind
    ) c;

    -- nodes ask several times a second: nothing is written, and no transaction id used, while nothing changes
    if not exists (
        select from node_calls n
        where n.node_id = p_node_id and n.counts = said
          and (said = '[]' or abs(extract(epoch from clock_timestamp() - n.reported_at)) < 2)
    ) then
        insert into node_calls (node_id, counts, reported_at) values (p_node_id, said, clock_timestamp())
        on conflict (node_id) do update set counts = excluded.counts, reported_at = excluded.reported_at;
    end if;

    return query
        select c.tenant_id, c.kind, least(sum(c.calls), 1000000)::integer
        from node_calls n cross join lateral
             jsonb_to_recordset(n.counts) as c (tenant_id integer, kind text, calls integer)
        where n.node_id <> p_node_id and abs(extract(epoch from clock_timestamp() - n.reported_at)) < 10
        group by c.tenant_id, c.kind;
end
$$;

-- Who may what ------------------------------------------------------------------------------------------------------

revoke execute on all functions in schema holdfast from public;
grant usage on schema holdfast to holdfast_agent, holdfast_admin, holdfast_api;

-- an agent knows its node's name and asks for the id, and `doctor` asks for the version on an edge node, too;
-- everything else goes through functions
grant select on node, schema_migration to holdfast_agent;
grant execute on function changes_since(bigint, integer) to holdfast_agent;
grant execute on function claim_numbers(integer, text, integer, integer) to holdfast_agent;
grant execute on function ship_journal(integer, text, jsonb) to holdfast_agent;
grant execute on function leases_of_node(integer) to holdfast_agent;
grant execute on function exchange_call_counts(integer, jsonb) to holdfast_agent;
grant execute on function erase_ended_leases(), erase_expired_references() to holdfast_agent, holdfast_admin;

-- the API answers whoever knows a location URI, and can ask for nothing else
grant execute on function location_by_reference(bytea) to holdfast_api;

-- the command line reads everything and writes provisioning; who owns a number is claim_numbers' business alone
grant select on all tables in schema holdfast to holdfast_admin;
revoke select on location_reference from holdfast_admin; -- where callers are is the PSAP's business
grant insert, update, delete on node, tenant, platform_number, subscriber, trunk_group, trunk, pool, site, location,
    network_element, policy, policy_mask, routing_rule, dial_rule, country_rule, boundary, location_psap
    to holdfast_admin;
grant delete, insert (number, pool_id, shared), update (pool_id, shared) on pool_number to holdfast_admin;
grant insert (id, what) on provisioning_change to holdfast_admin;
grant usage, select on sequence revision_seq to holdfast_admin;
grant execute on function are_trunk_sources(inet[]), is_call_uri(text), is_uri(text), are_failure_codes(integer[]), epoch_now(),
    max_call_s(), is_held(lease), node_at(inet[], integer) to holdfast_admin;
