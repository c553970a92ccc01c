-- Places, policies and rules: all that decides where an emergency call goes. See sql/schema.sql for what each is for.

alter table tenant
    add column policy_id integer,
    add column country_required boolean not null default false,
    add column max_test_calls integer not null default 10 constraint tenant_test_calls_allowed check (max_test_calls > 0);

alter table platform_number
    add column trunk_group_id integer,
    add column location_id integer,
    add column enhanced boolean not null default false,
    add column may_set_address boolean not null default true,
    add column may_change_address boolean not null default true,
    add column may_delete_address boolean not null default true,
    add constraint platform_number_enhanced_has_address check (not enhanced or location_id is not null);

alter table subscriber
    add column site_id integer,
    add column policy_id integer,
    add column common_area boolean not null default false,
    add column confirmed_location_id integer,
    add column pbx boolean not null default false;

-- What can stand in a Request-URI as the called party: a number, or a sip: URI without headers.
create function is_call_uri(uri text) returns boolean
    language sql immutable
    return uri ~ '^(tel:)?\+?[0-9]{2,15}$' or uri ~ '^sips?:[A-Za-z0-9_.+*#-]{1,64}@[A-Za-z0-9.:\[\]-]{1,253}(;[A-Za-z0-9=._-]{1,64})*$'
        or uri ~ '^urn:service:sos(\.[a-z0-9-]+)*$';

create function are_failure_codes(codes integer[]) returns boolean
    language sql immutable
    return coalesce((select bool_and(coalesce(code between 400 and 699, false)) from unnest(codes) as code), true);

alter table trunk_group
    add column tenant_id integer constraint trunk_group_has_tenant references tenant,
    add column country iso_country,
    add column screening boolean not null default false,
    add column pbx boolean not null default false constraint trunk_group_pbx_of_tenant check (not pbx or tenant_id is not null),
    add column location_method text not null default 'none' constraint trunk_group_location_method_known check (location_method in ('none', 'value', 'reference', 'provider_id', 'elin')),
    add column location_id_header text not null default 'X-Location-ID' constraint trunk_group_location_id_header_format check (location_id_header ~ '^[A-Za-z][A-Za-z0-9-]{0,63}$'),
    add column psap_method text not null default 'fixed' constraint trunk_group_psap_method_known check (psap_method in ('fixed', 'lost', 'boundary')),
    add column psap_uri text constraint trunk_group_psap_uri_format check (is_call_uri(psap_uri)),
    add column lost_url text constraint trunk_group_lost_url_format check (lost_url ~ '^https?://[^[:space:]"<>\\]{1,512}$'),
    add constraint trunk_group_lost_has_url check (psap_method <> 'lost' or lost_url is not null),
    add column answers_within_ms integer not null default 3000 constraint trunk_group_answers_range check (answers_within_ms between 200 and 30000),
    add column rings_within_ms integer not null default 120000 constraint trunk_group_rings_range check (rings_within_ms between 10000 and 600000),
    add column final_codes integer[] not null default '{486,600,603,604,606}' constraint trunk_group_final_codes_are_failures check (are_failure_codes(final_codes)),
    add column location_refused_codes integer[] not null default '{405,415,488,513}' constraint trunk_group_refused_codes_are_failures check (are_failure_codes(location_refused_codes));

alter table trunk drop constraint trunk_transport_known,
    add constraint trunk_transport_known check (transport in ('udp', 'tcp', 'tls'));
alter table trunk
    add column certificate_name text constraint trunk_certificate_name_format check (certificate_name ~ '^[A-Za-z0-9*_.-]{1,253}$');

alter table pool
    add column site_id integer,
    add column location_id integer,
    add constraint pool_place_of_tenant check ((site_id is null and location_id is null) or tenant_id is not null);

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
                             check (provider_location_id ~ '^[A-Za-z0-9._~:/?=&%+-]{1,256}$'),
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
    notification_uri text      constraint policy_notification_format check (notification_uri ~ '^(sips?:|https?://)[^[:space:]"<>\\]{1,512}$'),
    conference_uri   text      constraint policy_conference_format check (conference_uri ~ '^(sips?:|tel:)[^[:space:]"<>\\]{1,256}$'),
    conference_mode  text      constraint policy_conference_mode_known check (conference_mode in ('oneway', 'twoway')),
    constraint policy_conference_whole check (conference_mode is null or conference_uri is not null),
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

-- Triggers, as every provisioning table has them

do $$
declare
    relation text;
    key      text;
begin
    foreach relation in array
        array['site', 'location', 'network_element', 'policy', 'policy_mask', 'routing_rule', 'dial_rule',
              'country_rule', 'boundary', 'location_psap']
    loop
        key := 'id';
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

create unlogged table node_calls (
    -- how many calls each tenant has in progress on each node now; a node says it again every moment
    node_id     integer     primary key constraint node_calls_node_exists references node on delete cascade,
    counts      jsonb       not null constraint node_calls_is_array check (jsonb_typeof(counts) = 'array'),
    reported_at timestamptz not null
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

-- What an agent calls

-- Provisioning rows above revision `after`, in order, at most max_rows; row_data null: the row was deleted.
-- Fewer than max_rows means that there are no more.
create or replace function changes_since(after bigint, max_rows integer)
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

-- A9: a node says how many calls each tenant has in progress there, {tenant_id, kind, calls}, and hears how many each
-- has on the other nodes. What a node that fell silent said counts for ten seconds more.
create function exchange_call_counts(p_node_id integer, p_counts jsonb)
    returns table (tenant_id integer, kind text, calls integer)
    language plpgsql security definer set search_path = holdfast, pg_temp
as $$
begin
    insert into node_calls (node_id, counts, reported_at) values (p_node_id, p_counts, clock_timestamp())
    on conflict (node_id) do update set counts = excluded.counts, reported_at = excluded.reported_at;
    return query
        select c.tenant_id, c.kind, sum(c.calls)::integer
        from node_calls n cross join lateral
             jsonb_to_recordset(n.counts) as c (tenant_id integer, kind text, calls integer)
        where n.node_id <> p_node_id and n.reported_at > clock_timestamp() - interval '10 seconds'
        group by c.tenant_id, c.kind;
end
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
create or replace function ship_journal(p_node_id integer, p_store_id text, p_entries jsonb) returns bigint
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

revoke execute on all functions in schema holdfast from public;
grant usage on schema holdfast to holdfast_api;
grant execute on function location_by_reference(bytea) to holdfast_api;
grant execute on function erase_expired_references() to holdfast_agent, holdfast_admin;
grant execute on function exchange_call_counts(integer, jsonb) to holdfast_agent;
grant select on all tables in schema holdfast to holdfast_admin;
revoke select on location_reference from holdfast_admin;
grant insert, update, delete on site, location, network_element, policy, policy_mask, routing_rule, dial_rule,
    country_rule, boundary, location_psap to holdfast_admin;
grant execute on function is_call_uri(text), are_failure_codes(integer[]) to holdfast_admin;
