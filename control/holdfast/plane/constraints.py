"""What PostgreSQL's constraints on tenants, users, numbers, nodes, trunks and pools say to people."""

#: constraint → (what is wrong, how to mend it); {values} is the offending key, where PostgreSQL tells it.
#: A test holds the three tables together against every constraint of the schema.
CONSTRAINTS: dict[str, tuple[str, str]] = {
    # kinds of text
    "e164_format": ("a number is not E.164", "write + and 7 to 15 digits, such as +12025550123"),
    "iso_country_format": ("a country is not an ISO 3166-1 alpha-2 code", "write two capitals, such as US"),
    "name_text_one_line": ("a name is empty, too long or not one line", "use 1 to 128 visible characters"),
    "line_text_one_line": ("a display name is too long or not one line", "use at most 128 visible characters"),
    "aor_format": ("an address is not user@domain", "write it such as desk@example.com"),
    # nodes
    "node_name_format": (
        "a node's name cannot be a host name",
        "use lower-case letters, digits and -, at most 63, such as edge-1",
    ),
    "node_address_is_one_host": ("a node's address is a network", "give the address of the one host, without /"),
    "node_port_range": ("a node's port is not a port", "use 1 to 65535"),
    "node_name_once": ("there is a node {values} already", "choose another name"),
    "node_address_once": ("another node is at {values} already", "give each node an address and port of its own"),
    # tenants
    "tenant_emergency_calls_allowed": ("a tenant must be allowed an emergency call", "use at least 1"),
    "tenant_name_once": ("there is a tenant {values} already", "choose another name"),
    # platform numbers
    "platform_number_pkey": ("{values} is a platform number already", "give a number once, to one tenant"),
    "platform_number_has_tenant": ("the number's tenant does not exist", "'holdfast tenant list' shows all"),
    "platform_number_of_tenant": ("{values} is a platform number already", "give a number once, to one tenant"),
    # users
    "subscriber_has_tenant": ("the user's tenant does not exist, or still has users", "see 'holdfast user list'"),
    "subscriber_username_format": (
        "a username has characters that SIP would have to escape",
        "use 1 to 64 of letters, digits and _ . + -",
    ),
    "subscriber_realm_format": ("a realm is not a domain", "write it such as example.com"),
    "subscriber_ha1_format": ("an HA1 is not 32 lower-case hexadecimal digits", "use MD5(username:realm:password)"),
    "subscriber_forward_format": (
        "a forward is neither a number nor an address",
        "write +12025550123 or someone@example.com",
    ),
    "subscriber_username_once": ("there is a user {values} already", "choose another username"),
    "subscriber_number_once": ("{values} is another user's number already", "give each user a number of their own"),
    "subscriber_number_of_tenant": (
        "{values} is not a platform number of the user's tenant, or is still a user's",
        "'holdfast number add' gives a tenant a number; 'holdfast user set --no-number' frees one",
    ),
    "subscriber_forward_elsewhere": ("a user cannot be forwarded to themselves", "forward somewhere else"),
    # trunks
    "trunk_group_name_once": ("there is a trunk group {values} already", "choose another name"),
    "trunk_group_emergency_key": ("there is such a trunk group already", "choose another name"),
    "trunk_has_group": ("the trunk's group does not exist, or still has trunks", "'holdfast trunk list' shows them"),
    "trunk_host_format": ("a trunk's host is not a host name or address", "write it such as sip.carrier.example"),
    "trunk_port_range": ("a trunk's port is not a port", "use 1 to 65535"),
    "trunk_transport_known": ("a trunk's transport is not known", "use udp, tcp or tls"),
    "trunk_priority_range": ("a trunk's priority is out of range", "use 0 to 1000; lower is tried first"),
    "trunk_weight_range": ("a trunk's weight is out of range", "use 1 to 1000"),
    "trunk_sources_usable": (
        "a trunk's source addresses cannot be used",
        "give at least one address, or a network without bits beyond its mask and not wider than /8",
    ),
    "trunk_name_once": ("there is a trunk {values} already", "choose another name"),
    # pools
    "pool_has_tenant": ("the pool's tenant does not exist, or still has pools", "'holdfast pool list' shows them"),
    "pool_window_an_hour": ("a callback number must stay its caller's for an hour at least", "use 3600 or more"),
    "pool_rest_not_negative": ("a rest cannot be negative", "use 0 or more seconds"),
    "pool_target_range": ("a target of idle numbers is out of range", "use 0 to 100000"),
    "pool_name_once": ("there is a pool {values} already", "choose another name"),
    "pool_group_carries_emergency": (
        "the pool's trunk group must carry emergency calls, and is in use",
        "name a group made with --emergency; 'holdfast trunk-group list' shows them",
    ),
    "pool_number_pkey": ("{values} is in a pool already", "give a number once, to one pool"),
    "pool_number_has_pool": ("the pool does not exist, or still has numbers", "'holdfast pool list' shows all"),
    "pool_number_owner_exists": ("the owning node does not exist, or still owns numbers", "see 'holdfast node list'"),
    "pool_number_owner_whole": ("a number's owner is a node and one store of it", "let the edge agent claim numbers"),
    "pool_number_shared_unowned": ("a number that a node owns cannot be shared", "share a number that is free"),
}
