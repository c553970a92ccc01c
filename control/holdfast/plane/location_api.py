"""What a location URI answers (RFC 6753): the PIDF-LO of one emergency call, to whoever was given the URI.

The URI is the authorisation: its token cannot be guessed, and it expires. So nothing here tells a token that never
was from one that has expired or one that is no token: each is waited for just as long, and answered in the same words.
The wait is for the edge node's report, which may be a moment behind the INVITE that carried the URI.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from holdfast import plane_metrics
from holdfast.errors import DatabaseUnavailable
from holdfast.plane import held
from holdfast.plane.held import HELD_TYPE, PIDF_TYPE, HeldError, LocationDocument, LocationRequest
from holdfast.plane.references import References

log = logging.getLogger(__name__)

#: How long a location that is not there yet is waited for, in seconds, and how often it is looked for meanwhile. A
#: report takes about a quarter of a second. Whoever says in HELD that they will wait for less gets their answer sooner.
PATIENCE_S = 2.0
LEAST_PATIENCE_S = 0.5
LOOK_EVERY_S = 0.1
#: So many requests may wait at once: each asks PostgreSQL ten times a second.
MOST_WAITING = 64
#: A request's body must have come within this, in seconds.
BODY_WITHIN_S = 5.0

_NO_STORE = {"Cache-Control": "no-store"}
_AGAIN = {"Retry-After": "1"}


class CrowdedError(Exception):
    """More requests wait for locations than may."""


class LocationApi:
    """The answers of every location URI."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._waiting = 0

    async def answer(self, request: Request) -> Response:
        """One request, by GET, HEAD or POST, to its answer."""
        token = request.path_params["token"]
        try:
            response = await (self._held(request, token) if request.method == "POST" else self._get(request, token))
        except HeldError as error:
            plane_metrics.dereferences.labels(error.code).inc()
            return _response(error.document(), HELD_TYPE, error.http_status)
        except DatabaseUnavailable:
            plane_metrics.dereferences.labels("unavailable").inc()
            return _try_again("locations cannot be looked up now")
        except CrowdedError:
            plane_metrics.dereferences.labels("crowded").inc()
            return _try_again("too many wait for a location that is not known yet")
        except ClientDisconnect:
            return _response(b"", HELD_TYPE, 400)  # nobody reads it
        plane_metrics.dereferences.labels("found").inc()
        return response

    async def _get(self, request: Request, token: str) -> Response:
        """RFC 6753 §3.2: as if a locationRequest had come that takes whatever there is, or the bare PIDF-LO."""
        try:
            document = await self._document(token, PATIENCE_S)
        except HeldError as error:
            # whoever speaks no HELD must see it in the status
            status = 404 if error.code == "locationUnknown" else 500
            raise HeldError(error.code, str(error), http_status=status) from error
        if wants_bare_pidf(", ".join(request.headers.getlist("accept"))):
            return _response(document.bare(), PIDF_TYPE)
        return _response(document.answer(LocationRequest()), HELD_TYPE)

    async def _held(self, request: Request, token: str) -> Response:
        asked = held.read_request(await _body(request))
        document = await self._document(token, patience_s(asked))
        return _response(document.answer(asked), HELD_TYPE)

    async def _document(self, token: str, within_s: float) -> LocationDocument:
        """The location behind a token. HeldError: it is unknown, or unusable."""
        text = await self._text(hashlib.sha256(token.encode("utf-8", "replace")).digest(), within_s)
        if text is None:
            raise HeldError("locationUnknown", "no location is known by this URI, or not any more")
        try:
            return LocationDocument.read(text)
        except held.UnusableDocumentError as error:
            log.warning("%s", error)
            raise HeldError("generalLisError", "the location is known, but damaged") from error

    async def _text(self, token_digest: bytes, within_s: float) -> str | None:
        give_up_at = time.monotonic() + within_s
        text = await self._references.document(token_digest)
        if text is not None:
            return text
        if self._waiting >= MOST_WAITING:
            raise CrowdedError
        self._waiting += 1
        try:
            with plane_metrics.waiting.track_inprogress():
                while (left_s := give_up_at - time.monotonic()) > 0:
                    await asyncio.sleep(min(LOOK_EVERY_S, left_s))
                    text = await self._references.document(token_digest)
                    if text is not None:
                        plane_metrics.found_late.inc()
                        return text
        finally:
            self._waiting -= 1
        return None


def patience_s(asked: LocationRequest) -> float:
    """How long to wait for a location that is not there yet: RFC 5985 §6.1 lets whoever asks say for how long."""
    if asked.response_time_s is None:
        return PATIENCE_S
    return min(PATIENCE_S, max(LEAST_PATIENCE_S, asked.response_time_s))


def wants_bare_pidf(accept: str) -> bool:
    """Whether an Accept header (RFC 9110 §12.5.1) names application/pidf+xml, and likes it no less than HELD.

    Without it the answer is HELD, also for those who accept neither: a location in an unwanted form beats none.
    """
    qualities = _qualities(accept)
    pidf = qualities.get(PIDF_TYPE, 0.0)
    held_quality = next((qualities[name] for name in (HELD_TYPE, "application/*", "*/*") if name in qualities), 0.0)
    return pidf > 0 and pidf >= held_quality


def _qualities(accept: str) -> Mapping[str, float]:
    qualities: dict[str, float] = {}
    for media_range in accept.split(","):
        name, *parameters = (part.strip().lower() for part in media_range.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            qualities[name] = float(quality)
        except ValueError:
            continue
    return qualities


async def _body(request: Request) -> bytes:
    """The request's body, or so much of it that it is too much. HeldError: it did not come in time."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > held.MOST_REQUEST_BYTES:
                    break
    except TimeoutError as error:
        raise HeldError("requestError", "the request did not come in time", http_status=408) from error
    return bytes(body)


def _response(content: bytes, media_type: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(content, status, {**_NO_STORE, **(headers or {})}, media_type)


def _try_again(why: str) -> Response:
    return _response(HeldError("generalLisError", why).document(), HELD_TYPE, 503, _AGAIN)


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(error.detail, error.status_code, {**_NO_STORE, **(error.headers or {})})


def application(references: References) -> Starlette:
    """The ASGI application; it closes `references` when it ends."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await references.close()

    locations = LocationApi(references)
    # a path with more slashes is no token either, and is answered like any other
    route = Route("/location/{token:path}", locations.answer, methods=["GET", "HEAD", "POST"])
    app = Starlette(routes=[route], exception_handlers={HTTPException: _refusal}, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app
