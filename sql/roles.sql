-- Who connects to Holdfast's database. Run by `holdfast db init` as a superuser (or a role that may create roles and
-- owns the database), before the schema; running it again changes nothing. No passwords here: set them with
-- psql's \password, or let the operating system vouch (peer with pg_ident.conf).
--
--   holdfast_owner  owns every object; nobody logs in as it. Migrations run as it.
--   holdfast_agent  an edge node's agent: reads changes, claims numbers, ships its journal; by function only.
--   holdfast_admin  the `holdfast` command: provisions, and reads what the nodes shipped.
--   holdfast_api    `holdfast api`: looks up what a location URI stands for, by one function.
--
-- What each may do stands at the end of schema.sql, beside the objects.

do $$
begin
    if to_regrole('holdfast_owner') is null then
        create role holdfast_owner nologin;
    end if;
    if to_regrole('holdfast_agent') is null then
        create role holdfast_agent login;
    end if;
    if to_regrole('holdfast_admin') is null then
        create role holdfast_admin login;
    end if;
    if to_regrole('holdfast_api') is null then
        create role holdfast_api login;
    end if;

    -- who runs the migrations must be able to become the owner; a superuser is already
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant holdfast_owner to %I', current_user);
    end if;

    -- nobody else has business in this database; COPY of an import goes through a temporary table
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to holdfast_agent, holdfast_admin, holdfast_api', current_database());
    execute format('grant temporary on database %I to holdfast_admin', current_database());
    execute format('grant connect, create on database %I to holdfast_owner', current_database());

    -- every session finds the tables without a prefix, and nothing of anybody else's
    execute format('alter database %I set search_path = holdfast', current_database());
end
$$;
