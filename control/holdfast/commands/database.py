"""`holdfast db`: making and migrating the database."""

import click

from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.output import show_one
from holdfast.errors import InputError
from holdfast.plane import db, rows, schema


@click.group("db")
def database() -> None:
    """The database: PostgreSQL, the system of record."""


@database.command("init")
@pass_context
def init(context: Context) -> None:
    """Create database, roles and schema, or bring the schema up to date; doing it again is harmless.

    Connects as the role `postgres` unless database.dsn or --database names another superuser.
    """
    info = db.conninfo(context.settings, role=db.SUPERUSER, override=context.database)
    if schema.create_database(info):
        click.echo("database created")
    with db.open_connection(info) as connection:
        schema.create_roles(connection)
        _migrate(connection)


@database.command("migrate")
@pass_context
def migrate(context: Context) -> None:
    """Bring the schema up to date. Connects as 'holdfast db init' does."""
    info = db.conninfo(context.settings, role=db.SUPERUSER, override=context.database)
    with db.open_connection(info) as connection:
        if not schema.schema_version(connection):
            raise InputError("the database has no Holdfast schema", mend="run 'holdfast db init'")
        schema.create_roles(connection)  # a migration may grant to a role that is new
        _migrate(connection)


@database.command("status")
@json_option
@pass_context
def status(context: Context, as_json: bool) -> None:
    """Show which database it is, its schema's version, and how much is in it."""
    with context.connection() as connection:
        version, latest = schema.schema_version(connection), len(schema.migrations())
        counts = rows.select(connection, dict, _COUNTS) if version else ()
        document = {
            "database": connection.info.dbname,
            "host": connection.info.host,
            "role": connection.info.user,
            "server": f"PostgreSQL {connection.info.server_version // 10000}",
            "schema_version": version,
            "up_to_date": version == latest,
            **(counts[0] if counts else {}),
        }
    show_one(document, as_json=as_json)
    if version != latest:
        raise InputError(
            f"the schema is version {version}, this Holdfast needs {latest}",
            mend="run 'holdfast db init'" if version < latest else "install the newer Holdfast here",
        )


_COUNTS = """
    select (select last_value from revision_seq) as revision,
           (select count(*) from node) as nodes,
           (select count(*) from tenant) as tenants,
           (select count(*) from subscriber) as users,
           (select count(*) from platform_number) as platform_numbers,
           (select count(*) from pool_number) as pool_numbers,
           (select count(*) from lease) as leases
"""


def _migrate(connection: db.Connection) -> None:
    applied = schema.migrate(connection)
    for migration in applied:
        click.echo(f"migration {migration.version:04} {migration.name} applied")
    click.echo(f"the schema is version {schema.schema_version(connection)}" + ("" if applied else ", as it was"))
