"""What PostgreSQL's constraints on policies, masks, rules, countries and the routing of trunk groups say to people."""

_CODES_MEND = "use final answers of SIP from 400 to 699, separated by commas, or none"
_IN_USE = "and 'holdfast policy show' tells who uses it"

CONSTRAINTS: dict[str, tuple[str, str]] = {
    # policies
    "policy_has_tenant": ("the policy's tenant does not exist, or still has policies", "see 'holdfast policy list'"),
    "policy_notification_format": (
        "a notification URI is not a sip:, sips:, http: or https: URI",
        "write it such as https://desk.example.com/notify",
    ),
    "policy_conference_format": (
        "a conference URI is not a sip:, sips: or tel: URI",
        "write it such as sip:desk@example.com or tel:+12025550123",
    ),
    "policy_conference_mode_known": ("how the security desk joins is not known", "use oneway or twoway"),
    "policy_conference_whole": (
        "a conference URI and a conference mode only work together",
        "give both --conference-uri and --conference-mode, or take the URI away",
    ),
    "policy_name_once": ("the tenant has a policy {values} already", "choose another name"),
    "policy_of_tenant": ("there is such a policy already", "choose another name"),
    "tenant_policy_is_its_own": (
        "the policy is not the tenant's own, or is still the tenant's",
        f"'holdfast tenant set --no-policy' lets go of it, {_IN_USE}",
    ),
    "subscriber_policy_of_tenant": (
        "the policy is not one of the user's tenant, or is still a user's",
        f"'holdfast user set --no-policy' lets go of it, {_IN_USE}",
    ),
    # masks
    "policy_mask_has_policy": ("the mask's policy does not exist", "'holdfast policy list' shows all"),
    "policy_mask_dialled_format": ("what a mask is dialled as is not 2 to 6 of digits, * and #", "write 0911=911"),
    "policy_mask_sent_format": ("what a mask stands for is not 2 to 6 digits", "write 0911=911"),
    "policy_mask_once": ("the policy has a mask for this already", "give each dialled string once"),
    # direct routing
    "routing_rule_has_tenant": ("the rule's tenant does not exist, or still has rules", "see 'holdfast route list'"),
    "routing_rule_number_format": ("a rule's emergency number is not 2 to 6 digits", "write 911, or * for every one"),
    "routing_rule_position_range": ("a rule's position is out of range", "use 1 to 1000; lower is tried first"),
    "routing_rule_once": (
        "a rule stands at that position already",
        "choose another --position, or remove that rule; 'holdfast route list' shows all",
    ),
    "routing_rule_group_carries_emergency": (
        "the rule's trunk group must carry emergency calls, and is in use",
        "name a group made with --emergency; 'holdfast trunk-group list' shows them",
    ),
    # dial plans
    "dial_rule_has_tenant": (
        "the dial rule's tenant does not exist, or still has dial rules",
        "see 'holdfast dial-rule list'",
    ),
    "dial_rule_prefix_format": ("a dial rule's prefix is not 1 to 12 of digits, * and #", "write it such as 9"),
    "dial_rule_strip_within_prefix": (
        "a dial rule takes away more than its prefix",
        "strip at most as many digits as the prefix has",
    ),
    "dial_rule_prepend_format": (
        "what a dial rule puts before is not digits",
        "write 0 to 15 digits, with or without +",
    ),
    "dial_rule_once": ("the tenant has a dial rule for this prefix already", "remove that one first"),
    # countries
    "country_rule_has_tenant": (
        "the country rule's tenant does not exist, or still has country rules",
        "see 'holdfast country list --tenant'",
    ),
    "country_rule_screening_known": ("a way of screening is not known", "use direct or national"),
    "country_rule_says_something": ("a country rule says nothing", "give --served, --screening or --notify-desk"),
    "country_rule_once": ("there is such a country rule already", "'holdfast country set' changes it"),
    # trunk groups and trunks
    "trunk_group_has_tenant": (
        "the trunk group's tenant does not exist, or still has trunk groups",
        "'holdfast trunk-group list' shows them",
    ),
    "trunk_group_pbx_of_tenant": ("a PBX belongs to a tenant", "name it with --tenant"),
    "trunk_group_location_method_known": (
        "a way of telling the location is not known",
        "use none, value, reference, provider-id or elin",
    ),
    "trunk_group_location_id_header_format": (
        "the header for a location's id is not a header name",
        "use a letter, then at most 63 letters, digits and -, such as X-Location-ID",
    ),
    "trunk_group_psap_method_known": ("a way of finding the PSAP is not known", "use fixed, lost or boundary"),
    "trunk_group_psap_uri_format": (
        "a PSAP is neither a number nor a URI that can be called",
        "write +12025550123, sip:911@psap.example or urn:service:sos",
    ),
    "trunk_group_lost_url_format": (
        "the LoST server is not an http: or https: URL",
        "write it such as https://lost.example.com/LoST",
    ),
    "trunk_group_lost_has_url": ("PSAPs cannot be asked of LoST without a server", "name it with --lost-url"),
    "trunk_group_psap_is_used": (
        "PSAPs are set for a trunk group that carries neither emergency calls nor screens them",
        "add --emergency or --screening, or leave the PSAP out (--psap fixed --no-psap-uri --no-lost-url)",
    ),
    "trunk_group_answers_range": ("how long a trunk may say nothing is out of range", "use 200 to 30000 ms"),
    "trunk_group_rings_range": ("how long a trunk may ring is out of range", "use 10000 to 600000 ms"),
    "trunk_group_final_codes_are_failures": ("a final code is no failure", _CODES_MEND),
    "trunk_group_refused_codes_are_failures": ("a code that refuses a location is no failure", _CODES_MEND),
    "trunk_certificate_name_format": (
        "a certificate's name is not a host name",
        "write it such as sip.carrier.example, or *.carrier.example",
    ),
    "trunk_certificate_needs_tls": (
        "a certificate is shown over TLS alone",
        "use --transport tls, or --no-certificate-name",
    ),
    # tenants and pools
    "tenant_test_calls_allowed": ("a tenant must be allowed a test call", "use at least 1"),
    "pool_place_of_tenant": (
        "a pool for a site or a location belongs to a tenant",
        "name it with --tenant when you create the pool",
    ),
}
