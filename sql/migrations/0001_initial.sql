-- The first schema, as it was then. Never change this file once it was released: add another.
-- Why each thing is there stands in sql/schema.sql.

create schema holdfast;
set local search_path = holdfast, pg_temp;

create table schema_migration (
    version    integer     primary key check (version > 0),
    name       text        not null,
    applied_at timestamptz not null default now()
);

create domain e164 as text
    constraint e164_format check (value ~ '^\+[1-9][0-9]{6,14}$');

create domain iso_country as text
    constraint iso_country_format check (value ~ '^[A-Z]{2}$');

create domain name_text as text
    constraint name_text_one_line check (
        length(value) between 1 and 128 and value = btrim(value) and value !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]'
    );

create domain line_text as text
    constraint line_text_one_line check (
        length(value) <= 128 and value !~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]'
    );

create domain aor as text
    constraint aor_format check (
        value ~ '^[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$'
    );

create sequence revision_seq as bigint;

create table tombstone (
    relation text   not null,
    row_key  text   not null,
    revision bigint not null constraint tombstone_revision_once unique,
    primary key (relation, row_key)
);

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

create table node (
    id          integer   generated always as identity primary key,
    name        text      not null constraint node_name_format check (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    sip_address inet      not null constraint node_address_is_one_host
                          check (masklen(sip_address) = case family(sip_address) when 4 then 32 else 128 end),
    sip_port    integer   not null constraint node_port_range check (sip_port between 1 and 65535),
    revision    bigint    not null constraint node_revision_once unique,
    constraint node_name_once unique (name),
    constraint node_address_once unique (sip_address, sip_port)
);

create table tenant (
    id                  integer     generated always as identity primary key,
    name                name_text   not null,
    country             iso_country not null,
    max_emergency_calls integer     not null default 10
                                    constraint tenant_emergency_calls_allowed check (max_emergency_calls > 0),
    security_desk       aor,
    revision            bigint      not null constraint tenant_revision_once unique,
    constraint tenant_name_once unique (name)
);

create table platform_number (
    number           e164    primary key,
    tenant_id        integer not null constraint platform_number_has_tenant references tenant,
    outbound_enabled boolean not null default true,
    revision         bigint  not null constraint platform_number_revision_once unique,
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
    ha1              text      not null constraint subscriber_ha1_format check (ha1 ~ '^[0-9a-f]{32}$'),
    display_name     line_text not null default '',
    number           e164,
    country          iso_country,
    outbound_enabled boolean   not null default true,
    inbound_enabled  boolean   not null default true,
    do_not_disturb   boolean   not null default false,
    forward_to       text      constraint subscriber_forward_format check (
                                   forward_to ~ '^\+[1-9][0-9]{6,14}$'
                                   or forward_to ~ '^[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$'
                               ),
    revision         bigint    not null constraint subscriber_revision_once unique,
    constraint subscriber_username_once unique (username, realm),
    constraint subscriber_number_once unique (number),
    constraint subscriber_number_of_tenant foreign key (number, tenant_id) references platform_number (number, tenant_id),
    constraint subscriber_forward_elsewhere check (forward_to <> username || '@' || realm and forward_to <> number)
);
create index subscriber_by_tenant on subscriber (tenant_id);

create table trunk_group (
    id        integer   generated always as identity primary key,
    name      name_text not null,
    emergency boolean   not null default false,
    ordinary  boolean   not null default false,
    revision  bigint    not null constraint trunk_group_revision_once unique,
    constraint trunk_group_name_once unique (name),
    constraint trunk_group_emergency_key unique (id, emergency)
);

create function are_trunk_sources(addresses inet[]) returns boolean
    language sql immutable
    return cardinality(addresses) > 0
        and (select bool_and(coalesce(a = network(a) and masklen(a) >= 8, false)) from unnest(addresses) as a);

create table trunk (
    id               integer   generated always as identity primary key,
    trunk_group_id   integer   not null constraint trunk_has_group references trunk_group,
    name             name_text not null,
    host             text      not null constraint trunk_host_format check (host ~ '^[A-Za-z0-9_.:-]{1,253}$'),
    port             integer   not null default 5060 constraint trunk_port_range check (port between 1 and 65535),
    transport        text      not null default 'udp' constraint trunk_transport_known check (transport in ('udp', 'tcp')),
    priority         integer   not null default 1 constraint trunk_priority_range check (priority between 0 and 1000),
    weight           integer   not null default 1 constraint trunk_weight_range check (weight between 1 and 1000),
    source_addresses inet[]    not null constraint trunk_sources_usable check (are_trunk_sources(source_addresses)),
    enabled          boolean   not null default true,
    revision         bigint    not null constraint trunk_revision_once unique,
    constraint trunk_name_once unique (name)
);
create index trunk_by_group on trunk (trunk_group_id);

create table pool (
    id             integer     generated always as identity primary key,
    name           name_text   not null,
    trunk_group_id integer     not null,
    country        iso_country not null,
    tenant_id      integer     constraint pool_has_tenant references tenant,
    window_s       integer     not null default 3600 constraint pool_window_an_hour check (window_s >= 3600),
    rest_s         integer     not null default 3600 constraint pool_rest_not_negative check (rest_s >= 0),
    target_idle    integer     not null default 10 constraint pool_target_range check (target_idle between 0 and 100000),
    emergency      boolean     not null generated always as (true) stored,
    revision       bigint      not null constraint pool_revision_once unique,
    constraint pool_name_once unique (name),
    constraint pool_group_carries_emergency foreign key (trunk_group_id, emergency) references trunk_group (id, emergency)
);

create table pool_number (
    number         e164    primary key,
    pool_id        integer not null constraint pool_number_has_pool references pool,
    shared         boolean not null default false,
    owner_node_id  integer constraint pool_number_owner_exists references node,
    owner_store_id text,
    revision       bigint  not null constraint pool_number_revision_once unique,
    constraint pool_number_owner_whole check ((owner_node_id is null) = (owner_store_id is null)),
    constraint pool_number_shared_unowned check (not (shared and owner_node_id is not null))
);
create index pool_number_by_pool on pool_number (pool_id);
create index pool_number_by_owner on pool_number (owner_node_id, pool_id) where owner_node_id is not null;
create index pool_number_free on pool_number (pool_id, number) where owner_node_id is null and not shared;

create table provisioning_change (
    id    uuid        primary key,
    at    timestamptz not null default now(),
    login text        not null default session_user,
    what  text        not null
);

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
    window_s      integer          not null constraint lease_window_an_hour check (window_s >= 3600),
    rest_s        integer          not null constraint lease_rest_not_negative check (rest_s >= 0),
    first_dial_at double precision not null,
    last_end_at   double precision,
    marked_at     double precision not null,
    boot_id       text             not null,
    boottime_s    double precision not null,
    node_id       integer          not null constraint lease_node_exists references node,
    store_id      text             not null,
    seq           bigint           not null
);
create unique index lease_one_holder on lease (number) where not shared;
create unique index lease_one_per_caller on lease (node_id, caller_key, pool_id);
create index lease_by_number on lease (number);

create table lease_conflict (
    at               timestamptz not null default now(),
    number           text        not null,
    kept_lease_id    text        not null,
    kept_node_id     integer     not null,
    dropped_lease_id text        not null,
    dropped_node_id  integer     not null,
    primary key (kept_lease_id, dropped_lease_id)
);

create table journal (
    node_id   integer          not null constraint journal_node_exists references node,
    store_id  text             not null,
    seq       bigint           not null constraint journal_seq_positive check (seq > 0),
    at        double precision not null,
    kind      text             not null,
    payload   jsonb            not null constraint journal_payload_is_object check (jsonb_typeof(payload) = 'object'),
    primary key (node_id, store_id, seq)
);
create index journal_by_time on journal (at);
create index journal_call_started on journal ((payload ->> 'lease_id')) where kind = 'call_started';
create index journal_call_ended on journal ((payload ->> 'call_id')) where kind = 'call_ended';
create index journal_lease_erased on journal ((payload ->> 'id')) where kind = 'lease_erased';

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
            and e.payload ->> 'lease_id' is not distinct from s.payload ->> 'lease_id'
            and e.node_id = s.node_id and e.store_id = s.store_id and e.seq > s.seq
      );

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

create trigger pool_number_held_on_delete before delete on pool_number
    for each row execute function refuse_held_number();
create trigger pool_number_held_on_change before update on pool_number
    for each row when (
        old.owner_node_id is distinct from new.owner_node_id
        or old.pool_id <> new.pool_id
        or old.shared <> new.shared
    ) execute function refuse_held_number();

do $$
declare
    relation text;
    key      text;
begin
    foreach relation in array
        array['node', 'tenant', 'platform_number', 'subscriber', 'trunk_group', 'trunk', 'pool', 'pool_number']
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
        (select t.revision, t.relation, t.row_key, null
         from tombstone t where t.revision > after order by t.revision limit max_rows)
    ) c
    order by c.revision
    limit max_rows
$$;

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

create function leases_of_node(p_node_id integer) returns setof lease
    language sql stable security definer set search_path = holdfast, pg_temp
as $$
    select * from lease where node_id = p_node_id order by seq
$$;

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

create function erase_lease(p_store_id text, p_seq bigint, p_at double precision, p_lease_id text) returns void
    language sql set search_path = holdfast, pg_temp
as $$
    delete from lease l
    where l.id = p_lease_id and case when l.store_id = p_store_id then l.seq < p_seq else l.marked_at <= p_at end
$$;

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
               case e.kind when 'lease' then jsonb_build_object('id', e.payload ->> 'id') else e.payload end
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

    return (select max(seq) from journal where node_id = p_node_id and store_id = p_store_id);
end
$$;

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

revoke execute on all functions in schema holdfast from public;
grant usage on schema holdfast to holdfast_agent, holdfast_admin;

grant select on node, schema_migration to holdfast_agent;
grant execute on function changes_since(bigint, integer) to holdfast_agent;
grant execute on function claim_numbers(integer, text, integer, integer) to holdfast_agent;
grant execute on function ship_journal(integer, text, jsonb) to holdfast_agent;
grant execute on function leases_of_node(integer) to holdfast_agent;
grant execute on function erase_ended_leases() to holdfast_agent, holdfast_admin;

grant select on all tables in schema holdfast to holdfast_admin;
grant insert, update, delete on node, tenant, platform_number, subscriber, trunk_group, trunk, pool to holdfast_admin;
grant delete, insert (number, pool_id, shared), update (pool_id, shared) on pool_number to holdfast_admin;
grant insert (id, what) on provisioning_change to holdfast_admin;
grant usage, select on sequence revision_seq to holdfast_admin;
grant execute on function are_trunk_sources(inet[]), epoch_now(), max_call_s(), is_held(lease) to holdfast_admin;
