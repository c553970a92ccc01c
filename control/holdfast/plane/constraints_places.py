"""What PostgreSQL's constraints on sites, locations, network elements, boundaries and addresses say to people."""

CONSTRAINTS: dict[str, tuple[str, str]] = {
    # sites
    "site_has_tenant": ("the site's tenant does not exist, or still has sites", "see 'holdfast site list'"),
    "site_name_once": ("the tenant has a site {values} already", "choose another name"),
    "site_of_tenant": ("there is such a site already", "choose another name"),
    "site_policy_of_tenant": (
        "the site's policy is not its tenant's, or is still a site's",
        "'holdfast policy list' shows the tenant's",
    ),
    # locations
    "location_has_tenant": ("the location's tenant does not exist, or still has locations", "see 'location list'"),
    "location_name_once": ("the tenant has a location {values} already", "choose another name"),
    "location_of_tenant": ("there is such a location already", "choose another name"),
    "location_site_of_tenant": (
        "the location's site is not its tenant's, or still has locations",
        "'holdfast site list' shows the tenant's",
    ),
    "location_civic_is_object": (
        "an address is not a list of named elements",
        "write RFC 5139 element names and their texts, such as A3=Austin",
    ),
    "location_latitude_range": ("a latitude is out of range", "use -90 to 90 degrees (WGS84)"),
    "location_longitude_range": ("a longitude is out of range", "use -180 to 180 degrees (WGS84)"),
    "location_point_whole": ("half of a point is missing", "give both latitude and longitude, or neither"),
    "location_says_where": (
        "a location must say where it is",
        "give an address (--civic, --address-file), a point (--latitude, --longitude), or both",
    ),
    "location_validation_known": ("a location's validation is not known", "use validated, manual or none"),
    "location_provider_id_format": (
        "a provider's location id has characters that no header can carry",
        "use 1 to 250 of letters, digits and . _ ~ : / ? = & % + -",
    ),
    # network elements
    "network_element_has_tenant": (
        "the network element's tenant does not exist, or still has network elements",
        "see 'holdfast network-element list'",
    ),
    "network_element_kind_known": (
        "a kind of network element is not known",
        "use subnet, bssid, switch or switch_port",
    ),
    "network_element_key_format": (
        "a network element's key is not in its canonical form",
        "write 192.0.2.0/24, 2001:db8::/32, 00-11-22-aa-bb-cc, a chassis id, or chassis id/port id",
    ),
    "network_element_once": (
        "the tenant has that network element already",
        "a device must be in one place: 'holdfast network-element list' shows where",
    ),
    "network_element_location_of_tenant": (
        "the network element's location is not its tenant's, or still has network elements",
        "'holdfast location list' shows the tenant's; 'holdfast network-element list' what lies there",
    ),
    # boundaries, and the PSAPs that were found
    "boundary_has_group": (
        "the boundary's trunk group does not exist, or still has boundaries",
        "'holdfast boundary list' shows them",
    ),
    "boundary_name_once": ("the trunk group has such a boundary already", "use --replace, or choose another name"),
    "boundary_psap_uri_format": (
        "a PSAP cannot be called by its URI",
        "use sip:user@host, tel: with a number, or a number",
    ),
    "boundary_polygons_are_array": ("an area is not a list of polygons", "use 'holdfast boundary import'"),
    "boundary_box_whole": ("an area's bounding box is upside down", "use 'holdfast boundary import'"),
    "location_psap_has_location": ("the location does not exist", "'holdfast location list' shows all"),
    "location_psap_has_group": ("the trunk group does not exist", "'holdfast trunk-group list' shows all"),
    "location_psap_uri_format": (
        "a PSAP cannot be called by its URI",
        "use sip:user@host, tel: with a number, or a number",
    ),
    "location_psap_found_by_known": ("how the PSAP was found is not known", "use 'holdfast location route'"),
    "location_psap_once": ("the location's PSAP is known already", "use 'holdfast location route'"),
    # the addresses of numbers
    "platform_number_has_group": (
        "the number's carrier does not exist, or still has numbers",
        "'holdfast trunk-group list' shows all; 'holdfast number list' whose numbers are whose",
    ),
    "platform_number_address_of_tenant": (
        "the number's address is not a location of its tenant, or is still a number's address",
        "'holdfast location list' shows the tenant's; 'holdfast number set' with --no-location takes an address away",
    ),
    "platform_number_enhanced_has_address": (
        "an enhanced number needs a registered address",
        "add --location, or --enhanced off",
    ),
    "platform_number_only_carriers_restrict": (
        "only a carrier restricts what may be done with a number's address",
        "name the carrier, too (--carrier)",
    ),
    # what lies at a site or location
    "pool_site_of_tenant": (
        "the pool's site is not its tenant's, or still has pools",
        "'holdfast site list' shows the tenant's; 'holdfast pool list' its pools",
    ),
    "pool_location_of_tenant": (
        "the pool's location is not its tenant's, or still has pools",
        "'holdfast location list' shows the tenant's; 'holdfast pool list' its pools",
    ),
    "subscriber_site_of_tenant": (
        "the user's site is not their tenant's, or still has users",
        "'holdfast site list' shows the tenant's; 'holdfast user list' its users",
    ),
    "subscriber_location_of_tenant": (
        "the location that the user confirmed is not their tenant's, or is still a user's",
        "'holdfast location list' shows the tenant's",
    ),
}
