-- The edge store: one SQLite file per node (WAL mode). Everything an emergency call needs is in it.
--
-- Three kinds of tables:
--   provisioning   a copy of PostgreSQL's rows, written by the edge agent alone, by revision. Column names are the
--                  same in both; array columns are JSON text here. No foreign keys: rows arrive in revision order,
--                  and a parent that was changed again arrives after its children.
--   leases, calls  written by the routing code (and the agent's reaper); shipped up by the journal.
--   journal        append-only; the agent ships it upwards and prunes what PostgreSQL has confirmed.
--
-- Times are UTC seconds (Unix epoch, REAL). boottime_s is CLOCK_BOOTTIME, valid only together with boot_id.

create table store (
    -- exactly one row: which file this is. A store that is rebuilt gets a new id, so its journal never collides
    -- with rows an earlier file shipped under the same sequence numbers.
    one            integer primary key check (one = 1),
    schema_version integer not null,
    store_id       text    not null,
    created_at     real    not null,
    node_id        integer,                       -- null until the agent learned it from PostgreSQL
    -- which database `revision` counts in (cluster, timeline, database, schema); null or another one: the whole
    -- provisioning is fetched anew, and what did not come is swept out at the end
    database_id    text,
    revision       integer not null default 0,    -- the last provisioning revision that was applied
    caught_up      integer not null default 0 check (caught_up in (0, 1)), -- 1 once every row has come down
    -- counts changes of trunk_address and of what trunk_health says is down: no revision counts them
    network_version integer not null default 0,
    shipped_seq    integer not null default 0     -- journal rows up to here are confirmed by PostgreSQL
) strict;

-- Provisioning ------------------------------------------------------------------------------------------------------

create table node (
    id       integer primary key,
    name     text not null,
    sip_address text not null,
    sip_port integer not null
) strict;

create table tenant (
    id                  integer primary key,
    name                text not null,
    country             text not null,             -- ISO 3166-1 alpha-2, the default for its users
    max_emergency_calls integer not null,
    security_desk       text,                      -- address of record, user@realm
    policy_id           integer,
    country_required    integer not null default 0, -- `country` is not believed: somebody must say where a caller is
    max_test_calls      integer not null default 10
) strict;

create table subscriber (
    id               integer primary key,
    tenant_id        integer not null,
    username         text not null,
    realm            text not null,
    ha1              text not null,                -- MD5(username:realm:password), RFC 2617
    display_name     text not null,
    number           text,                         -- own number, E.164 with +
    country          text,
    outbound_enabled integer not null,
    inbound_enabled  integer not null,
    do_not_disturb   integer not null,
    forward_to       text,
    site_id          integer,
    policy_id        integer,
    common_area      integer not null default 0,
    confirmed_location_id integer,
    pbx              integer not null default 0    -- a PBX that registers, for all numbers of its tenant
) strict;
create unique index subscriber_by_username on subscriber (username, realm);
create index subscriber_by_number on subscriber (number) where number is not null;

create table platform_number (
    number           text primary key,             -- E.164 with +
    tenant_id        integer not null,
    outbound_enabled integer not null,
    trunk_group_id   integer,                      -- the carrier that owns it; null: the platform's own offer
    location_id      integer,                      -- its registered address
    enhanced         integer not null default 0,
    may_set_address    integer not null default 1,
    may_change_address integer not null default 1,
    may_delete_address integer not null default 1
) strict, without rowid;
create index platform_number_by_tenant on platform_number (tenant_id) where outbound_enabled = 1;

create table trunk_group (
    id        integer primary key,
    name      text not null,
    emergency integer not null,                    -- carries emergency calls and delivers their callbacks
    ordinary  integer not null,                    -- carries other calls out
    tenant_id integer,                             -- whose own carrier or PBX it is; null: the platform's own offer
    country   text,                                -- whose calls it carries; null: any country's
    screening integer not null default 0,          -- a screening centre, not a PSAP
    pbx       integer not null default 0,
    location_method        text not null default 'none',
    location_id_header     text not null default 'X-Location-ID',
    psap_method            text not null default 'fixed',
    psap_uri               text,
    lost_url               text,
    answers_within_ms      integer not null default 3000,
    rings_within_ms        integer not null default 120000,
    final_codes            text not null default '[486,600,603,604,606]', -- JSON array
    location_refused_codes text not null default '[405,415,488,513]'      -- JSON array
) strict;

create table trunk (
    id               integer primary key,
    trunk_group_id   integer not null,
    name             text not null,
    host             text not null,
    port             integer not null,
    transport        text not null,
    priority         integer not null,             -- lower first
    weight           integer not null,
    source_addresses text not null,                -- JSON array of addresses or networks its calls come from
    enabled          integer not null,
    certificate_name text                          -- what its certificate must name, if its address is not enough
) strict;

create table trunk_address (
    -- what a trunk's host name stands for: the agent asks DNS ahead of time, so that no call waits for it
    host        text primary key,
    address     text not null,
    resolved_at real not null
) strict, without rowid;

create table trunk_health (
    -- what came of the agent's OPTIONS to each trunk; a trunk without a row is one that nothing is known of. Only a hint:
    -- core.health.counts_as_down says which trunk is tried last, and when a row has become too old to be believed
    trunk_id   integer primary key,
    address    text    not null,                   -- the destination that was asked: of another nothing is known
    port       integer not null,
    transport  text    not null,
    state      text    not null check (state in ('up', 'down')),
    changed_at real    not null,                   -- since when
    checked_at real    not null,                   -- the latest result that was written; once a minute at least
    failures   integer not null,                   -- in a row, as of checked_at
    reason     text    not null                    -- what the latest OPTIONS came to, for people
) strict;

create table pool (
    id             integer primary key,
    name           text not null,
    trunk_group_id integer not null,
    country        text not null,
    tenant_id      integer,                        -- null: the platform's, for every tenant
    window_s       integer not null,
    rest_s         integer not null,
    target_idle    integer not null,               -- how many idle numbers the agent keeps on each node
    site_id        integer,                        -- for callers of this site alone
    location_id    integer                         -- ELIN: for callers at this location alone
) strict;

create table pool_number (
    number         text primary key,
    pool_id        integer not null,
    shared         integer not null,               -- lent to several callers at once when the pool is dry; rings all
    owner_node_id  integer,
    owner_store_id text                            -- which store claimed it (see rested_until)
) strict, without rowid;
create index pool_number_by_owner on pool_number (owner_node_id, pool_id);

create table site (
    id            integer primary key,
    tenant_id     integer not null,
    name          text    not null,
    country       text,
    policy_id     integer,
    security_desk text
) strict;

create table location (
    id           integer primary key,
    tenant_id    integer not null,
    site_id      integer,
    name         text    not null,
    country      text    not null,
    civic        text    not null,                 -- JSON object: RFC 5139 element names and their texts
    latitude     real,
    longitude    real,
    validation   text    not null,                 -- validated, manual or none
    provider_location_id text
) strict;

create table network_element (
    id          integer primary key,
    tenant_id   integer not null,
    kind        text    not null,                  -- subnet, bssid, switch or switch_port
    element_key text    not null,
    location_id integer not null
) strict;
create unique index network_element_once on network_element (tenant_id, kind, element_key);

create table policy (
    id               integer primary key,
    tenant_id        integer not null,
    name             text    not null,
    usage            text,                         -- null: the direct offer
    notification_uri text,
    conference_uri   text,
    conference_mode  text
) strict;

create table policy_mask (
    id        integer primary key,
    policy_id integer not null,
    dialled   text    not null,
    sent      text    not null
) strict;
create index policy_mask_by_dialled on policy_mask (dialled, policy_id);

create table routing_rule (
    id               integer primary key,
    tenant_id        integer not null,
    usage            text    not null,
    emergency_number text    not null,             -- or *: every one
    trunk_group_id   integer not null,
    position         integer not null
) strict;
create index routing_rule_by_usage on routing_rule (tenant_id, usage);

create table dial_rule (
    id        integer primary key,
    tenant_id integer not null,
    prefix    text    not null,
    strip     integer not null,
    prepend   text    not null
) strict;
create index dial_rule_by_prefix on dial_rule (prefix, tenant_id);

create table country_rule (
    id          integer primary key,
    tenant_id   integer,
    country     text    not null,
    served      integer,
    screening   text,
    notify_desk integer
) strict;
create index country_rule_by_country on country_rule (country, tenant_id);

create table boundary (
    id             integer primary key,
    trunk_group_id integer not null,
    name           text    not null,
    psap_uri       text    not null,
    polygons       text    not null,               -- JSON: polygons of rings of [latitude, longitude]
    min_latitude   real    not null,
    max_latitude   real    not null,
    min_longitude  real    not null,
    max_longitude  real    not null
) strict;
create index boundary_by_box
    on boundary (trunk_group_id, min_latitude, max_latitude, min_longitude, max_longitude);

create table location_psap (
    id             integer primary key,
    location_id    integer not null,
    trunk_group_id integer not null,
    psap_uri       text    not null,
    found_by       text    not null,
    valid_until    real
) strict;
create index location_psap_by_location on location_psap (location_id);

-- Calls on other nodes, for the limit of emergency calls at once (A9); written anew by the agent every moment, and
-- believed only while it is fresh
create table calls_elsewhere (
    tenant_id   integer not null,
    kind        text    not null,
    calls       integer not null,
    reported_at real    not null,
    primary key (tenant_id, kind)
) strict, without rowid;

-- Leases ------------------------------------------------------------------------------------------------------------

create table number_state (
    -- what this node knows of a pool number it owns, beside its lease
    number       text primary key,
    rested_since real not null,                    -- idle numbers are lent longest-rested first
    -- a number that an earlier store of this node owned may be on lease there without our knowing: it rests first
    rested_until real not null default 0
) strict, without rowid;
create index number_state_by_rest on number_state (rested_since);

create table lease (
    id              text primary key,
    number          text    not null,
    pool_id         integer not null,
    shared          integer not null check (shared in (0, 1)),
    caller_key      text    not null,              -- who holds it: subscriber:<id>, trunk:<id>:<number>, contact:<source>
    tenant_id       integer,
    subscriber_id   integer,
    aor             text,                          -- user@realm of a verified registered holder
    display_name    text    not null,
    contact_uri     text    not null,              -- where the last call came from: the very device
    source_uri      text    not null,              -- the address its packets came from, sip:host:port;transport=…
    window_s        integer not null check (window_s >= 3600),
    rest_s          integer not null check (rest_s >= 0),
    first_dial_at   real    not null,
    last_end_at     real,                          -- end of the last call or callback; null: none has ended yet
    marked_at       real    not null,              -- the latest of the two above, in wall time …
    boot_id         text    not null,              -- … and in this boot's CLOCK_BOOTTIME, against a clock that jumps
    boottime_s      real    not null
) strict;
-- N3: a number that is not a shared one has at most one holder, live or resting
create unique index lease_one_holder on lease (number) where shared = 0;
create index lease_by_number on lease (number);
-- the same caller gets the same number of a pool again
create unique index lease_one_per_caller on lease (caller_key, pool_id);

create table emergency_call (
    -- calls in progress: while one is open its lease's window cannot end
    call_id    text not null,                      -- SIP Call-ID
    lease_id   text,                               -- null: no number could be lent
    kind       text not null check (kind in ('emergency', 'readback', 'callback')),
    tenant_id  integer,
    started_at real not null
) strict;
-- a callback to a shared number is in progress for every holder it rings
create unique index emergency_call_once on emergency_call (call_id, kind, ifnull(lease_id, ''));
create index emergency_call_by_lease on emergency_call (lease_id);
create index emergency_call_by_tenant on emergency_call (tenant_id, kind, started_at);

-- Journal -----------------------------------------------------------------------------------------------------------

create table journal (
    seq     integer primary key autoincrement,
    at      real not null,
    kind    text not null,
    payload text not null                          -- a JSON object
) strict;

create table journal_refused (
    -- rows that PostgreSQL will not take, put aside so that the rest can go on; tried again when the agent starts
    seq        integer primary key,
    at         real not null,
    kind       text not null,
    payload    text not null,
    refused_at real not null,
    reason     text not null                       -- SQLSTATE, or why the row could not even be sent
) strict;
