"""What PostgreSQL's constraints on policies, masks, rules, countries and the routing of trunk groups say to people."""

CONSTRAINTS: dict[str, tuple[str, str]] = {}
