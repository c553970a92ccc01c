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

#: cause: (Q.850 number, SIP status and phrase for a call that is not yet answered)
_CAUSES: dict[str, tuple[int, int, str]] = {
    "UNALLOCATED_NUMBER": (1, 404, "Not Found"),
    "NO_ROUTE_DESTINATION": (3, 404, "Not Found"),
    NORMAL: (16, 480, "Temporarily Unavailable"),
    "USER_BUSY": (17, 486, "Busy Here"),
    "NO_USER_RESPONSE": (18, 480, "Temporarily Unavailable"),
    NO_ANSWER: (19, 480, "Temporarily Unavailable"),
    "CALL_REJECTED": (21, 603, "Decline"),
    "NUMBER_CHANGED": (22, 410, "Gone"),
    NO_ROUTE: (27, 502, "Bad Gateway"),
    "INVALID_NUMBER_FORMAT": (28, 484, "Address Incomplete"),
    "NETWORK_OUT_OF_ORDER": (38, 503, "Service Unavailable"),
    "NORMAL_TEMPORARY_FAILURE": (41, 503, "Service Unavailable"),
    INCOMPATIBLE: (88, 488, "Not Acceptable Here"),
    TIMER: (102, 504, "Server Time-out"),
    "INTERWORKING": (127, 500, "Server Internal Error"),
    CANCELLED: (487, 487, "Request Terminated"),
    SHUTDOWN: (501, 503, "Service Unavailable"),
    TOO_LONG: (602, 480, "Temporarily Unavailable"),
    MEDIA_TIMEOUT: (604, 480, "Temporarily Unavailable"),
}
#: The causes that FreeSWITCH makes of SIP answers (sofia_glue.c); others are NORMAL_TEMPORARY_FAILURE or INTERWORKING.
_BY_STATUS = {
    403: "CALL_REJECTED",
    404: "UNALLOCATED_NUMBER",
    408: TIMER,
    410: "NUMBER_CHANGED",
    480: "NO_USER_RESPONSE",
    484: "INVALID_NUMBER_FORMAT",
    485: "NO_ROUTE_DESTINATION",
    486: "USER_BUSY",
    487: CANCELLED,
    488: INCOMPATIBLE,
    502: "NETWORK_OUT_OF_ORDER",
    504: TIMER,
    600: "USER_BUSY",
    603: "CALL_REJECTED",
    604: "NO_ROUTE_DESTINATION",
    606: INCOMPATIBLE,
}


def known(cause: str) -> bool:
    return cause in _CAUSES


def q850(cause: str) -> int:
    """The cause's number, as in a Reason header; numbers above 127 are FreeSWITCH's own."""
    return _CAUSES[cause][0]


def refusal(cause: str) -> tuple[int, str]:
    """The SIP status and phrase that refuse an unanswered call for this cause."""
    return _CAUSES[cause][1:]


def of_status(status: int) -> str:
    """The cause that a final SIP answer of 300 to 699 stands for."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "NORMAL_TEMPORARY_FAILURE" if 500 <= status < 600 else "INTERWORKING"


def reason_header(cause: str) -> tuple[str, str]:
    """The Reason header (RFC 3326) of a BYE."""
    number = q850(cause)
    return ("reason", f'Q.850;cause={number if number <= 127 else 16};text="{cause}"')
