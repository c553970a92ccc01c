"""What PostgreSQL's constraints on sites, locations, network elements, boundaries and addresses say to people."""

CONSTRAINTS: dict[str, tuple[str, str]] = {}
