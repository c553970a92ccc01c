"""What tests of places begin with: two tenants, a carrier, and an address in Austin."""

from integration.command import Command

#: An address that passes the checks of its country.
AUSTIN = {"A1": "TX", "A3": "Austin", "RD": "Main", "STS": "St", "HNO": "1200", "PC": "78701"}
COPENHAGEN = {"A3": "København Ø", "RD": "Østerbrogade", "HNO": "12", "PC": "2100"}


def civic(address: dict[str, str]) -> list[str]:
    """The options that say an address."""
    return [part for name, text in address.items() for part in ("--civic", f"{name}={text}")]


def provision_places(holdfast: Command) -> None:
    """Tenants acme and other; acme's site HQ, location 'HQ lobby' in Austin and 'Field' (a point); a carrier."""
    for tenant in ("acme", "other"):
        holdfast.ok("tenant", "create", tenant, "--country", "US")
    holdfast.ok("site", "create", "HQ", "--tenant", "acme")
    holdfast.ok("location", "create", "HQ lobby", "--tenant", "acme", "--country", "us", "--site", "HQ", *civic(AUSTIN))
    holdfast.ok(
        "location", "create", "Field", "--tenant", "acme", "--country", "US",
        "--latitude", "30.5", "--longitude", "-98.5",
    )  # fmt: skip
    holdfast.ok("location", "create", "Yard", "--tenant", "other", "--country", "US", *civic(AUSTIN))
    holdfast.ok("trunk-group", "create", "carrier", "--emergency")
    holdfast.ok("number", "add", "+15125550100-+15125550109", "--tenant", "acme")
