"""Provisioning a lab, with the `holdfast` command as an operator would."""

from lab.command import Command
from lab.layout import POOL, POOL_NUMBERS, TENANT, TRUNK_GROUP, USERS, Layout
from lab.postgres import PrivatePostgres

#: How many idle numbers the agent keeps on the node; the pool has as many, so it claims them all.
TARGET_IDLE = len(POOL_NUMBERS)


def provision(holdfast: Command, layout: Layout, postgres: PrivatePostgres) -> None:
    """The database with its roles and schema, this node, a tenant with two users, trunks, a pool of numbers."""
    # as the superuser: it creates the database and the roles that everybody else connects as
    holdfast.run("--database", postgres.dsn(dbname="holdfast"), "db", "init")
    run = holdfast.run
    run("node", "create")
    run("tenant", "create", TENANT, "--country", "US")
    run("number", "add", *(user.number for user in USERS), "--tenant", TENANT)
    for user in USERS:
        options = ["--display-name", user.display_name, "--number", user.number]
        run("user", "create", user.name, "--tenant", TENANT, *options, stdin=user.password + "\n")
    run("trunk-group", "create", TRUNK_GROUP, "--emergency")
    for priority, trunk in enumerate(layout.trunks, start=1):
        where = ["--host", trunk.address, "--port", str(trunk.port), "--source", trunk.address]
        run("trunk", "create", trunk.name, "--group", TRUNK_GROUP, *where, "--priority", str(priority))
    run("pool", "create", POOL, "--trunk-group", TRUNK_GROUP, "--country", "US", "--target-idle", str(TARGET_IDLE))
    run("pool", "add-numbers", POOL, *POOL_NUMBERS)
