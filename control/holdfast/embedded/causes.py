"""Hangup causes by FreeSWITCH's names, with their Q.850 numbers and the SIP answers that say them."""

NORMAL = "NORMAL_CLEARING"
CANCELLED = "ORIGINATOR_CANCEL"
NO_ANSWER = "NO_ANSWER"
MEDIA_TIMEOUT = "MEDIA_TIMEOUT"
TOO_LONG = "ALLOTTED_TIMEOUT"
SHUTDOWN = "SYSTEM_SHUTDOWN"
NO_ROUTE = "DESTINATION_OUT_OF_ORDER"
INCOMPATIBLE = "INCOMPATIBLE_DESTINATION"
TIMER = "RECOVERY_ON_TIMER_EXPIRE"
#: Q.850: no circuit/channel available.
NO_TRUNK = "NORMAL_CIRCUIT_CONGESTION"

#: cause: (Q.850 number, SIP status and phrase for a call that is not yet answered)
_CAUSES: dict[str, tuple[int, int, str]] = {
    "UNALLOCATED_NUMBER": (1, 404, "Not Found"),
    "NO_ROUTE_DESTINATION": (3, 404, "Not Found"),
    NORMAL: (16, 480, "Temporarily Unavailable"),
    "USER_BUSY": (17, 486, "Busy Here"),
    "NO_USER_RESPONSE": (18, 408, "Request Timeout"),
    NO_ANSWER: (19, 480, "Temporarily Unavailable"),
    "CALL_REJECTED": (21, 603, "Decline"),
    "NUMBER_CHANGED": (22, 410, "Gone"),
    NO_ROUTE: (27, 502, "Bad Gateway"),
    "INVALID_NUMBER_FORMAT": (28, 484, "Address Incomplete"),
    NO_TRUNK: (34, 503, "Service Unavailable"),
    "NETWORK_OUT_OF_ORDER": (38, 503, "Service Unavailable"),
    "NORMAL_UNSPECIFIED": (31, 480, "Temporarily Unavailable"),
    "NORMAL_TEMPORARY_FAILURE": (41, 503, "Service Unavailable"),
    "SERVICE_UNAVAILABLE": (63, 480, "Temporarily Unavailable"),
    "SERVICE_NOT_IMPLEMENTED": (79, 501, "Not Implemented"),
    "EXCHANGE_ROUTING_ERROR": (25, 483, "Too Many Hops"),
    INCOMPATIBLE: (88, 488, "Not Acceptable Here"),
    TIMER: (102, 504, "Server Time-out"),
    "INTERWORKING": (127, 480, "Temporarily Unavailable"),
    CANCELLED: (487, 487, "Request Terminated"),
    SHUTDOWN: (501, 503, "Service Unavailable"),
    TOO_LONG: (602, 480, "Temporarily Unavailable"),
    MEDIA_TIMEOUT: (604, 480, "Temporarily Unavailable"),
}
#: SIP answers by the cause that FreeSWITCH makes of them (sofia_glue.c); every other is NORMAL_UNSPECIFIED.
_BY_STATUS = {
    "UNALLOCATED_NUMBER": (404,),
    "NO_ROUTE_DESTINATION": (485, 604),
    "USER_BUSY": (486, 600),
    "NO_USER_RESPONSE": (480,),
    "CALL_REJECTED": (401, 402, 403, 407, 603, 608),
    "NUMBER_CHANGED": (410,),
    "INVALID_NUMBER_FORMAT": (484,),
    "NETWORK_OUT_OF_ORDER": (502,),
    "NORMAL_TEMPORARY_FAILURE": (400, 481, 500, 503),
    "SERVICE_UNAVAILABLE": (405,),
    "SERVICE_NOT_IMPLEMENTED": (406, 415, 501),
    "EXCHANGE_ROUTING_ERROR": (482, 483),
    "INTERWORKING": (413, 414, 416, 420, 421, 423, 505, 513),
    INCOMPATIBLE: (488, 606),
    TIMER: (408, 504),
    CANCELLED: (487,),
}
_OF_STATUS = {status: cause for cause, statuses in _BY_STATUS.items() for status in statuses}


def known(cause: str) -> bool:
    return cause in _CAUSES


def known_or_normal(cause: str) -> str:
    """What a hangup for this cause is for: a name that is none means the normal cause, as in FreeSWITCH."""
    return cause if known(cause) else NORMAL


def q850(cause: str) -> int:
    """The cause's number, as in a Reason header; numbers above 127 are FreeSWITCH's own."""
    return _CAUSES[cause][0]


def refusal(cause: str) -> tuple[int, str]:
    """The SIP status and phrase that refuse an unanswered call for this cause."""
    return _CAUSES[cause][1:]


def of_status(status: int) -> str:
    """The cause that a final SIP answer of 300 to 699 stands for."""
    return _OF_STATUS.get(status, "NORMAL_UNSPECIFIED")


def reason_header(cause: str) -> tuple[str, str]:
    """The Reason header (RFC 3326) of a BYE."""
    number = q850(cause)
    return ("reason", f'Q.850;cause={number if number <= 127 else 16};text="{cause}"')
