"""What tests of routing begin with: two tenants, their carriers and a PBX, a policy, a rule, a dial plan, places."""

from integration.command import Command
from integration.postgres import Database


def provision_routing(holdfast: Command, database: Database) -> None:
    """Tenants acme and other; the platform's carrier, acme's own and its PBX; a site and a location of each tenant."""
    holdfast.ok("node", "create", "--address", "192.0.2.1")
    for tenant in ("acme", "other"):
        holdfast.ok("tenant", "create", tenant, "--country", "US")
    holdfast.ok("user", "create", "alice", "--tenant", "acme", stdin="secret\n")
    holdfast.ok("trunk-group", "create", "psap", "--emergency", "--country", "US")
    holdfast.ok("trunk-group", "create", "world", "--emergency")
    holdfast.ok("trunk-group", "create", "pstn", "--ordinary")
    holdfast.ok("trunk-group", "create", "acme-carrier", "--emergency", "--tenant", "acme", "--location", "elin")
    holdfast.ok("trunk-group", "create", "acme-pbx", "--pbx", "--tenant", "acme")
    holdfast.ok("trunk-group", "create", "other-carrier", "--emergency", "--tenant", "other")
    holdfast.ok("trunk", "create", "psap-1", "--group", "psap", "--host", "198.51.100.1", "--source", "198.51.100.0/24")
    holdfast.ok("trunk", "create", "acme-1", "--group", "acme-carrier", "--host", "203.0.113.1")
    holdfast.ok("policy", "create", "head office", "--tenant", "acme", "--usage", "own", "--mask", "0911=911")
    holdfast.ok("policy", "create", "elsewhere", "--tenant", "other")
    holdfast.ok("route", "add", "--tenant", "acme", "--usage", "own", "--number", "911", "--group", "acme-carrier")
    holdfast.ok("dial-rule", "add", "--tenant", "acme", "--prefix", "9", "--strip", "1")
    with database.connect() as admin:
        admin.execute("insert into site (tenant_id, name) values (1, 'Main'), (2, 'Annex')")
        admin.execute(
            """insert into location (tenant_id, name, country, latitude, longitude)
               values (1, 'Lobby', 'US', 38.9, -77.0), (2, 'Yard', 'US', 38.9, -77.0)"""
        )


def typed(line: str) -> list[str]:
    """A command and its options as the tables of refusals write them, "command,option,…": names may hold spaces."""
    command, _, options = line.partition(",")
    arguments = options.split(",") if options else []
    if "--final-codes" in arguments:  # codes are the one value that has commas of its own
        place = arguments.index("--final-codes") + 1
        arguments[place:] = [",".join(arguments[place:])]
    return [*command.split(), *arguments]
