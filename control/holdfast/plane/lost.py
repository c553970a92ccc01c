"""Asking LoST servers (RFC 5222) which PSAP serves a place, ahead of any call: over HTTP, with a deadline."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from holdfast.plane.lost_xml import (
    CONTENT_TYPE,
    MOST_BYTES,
    Found,
    LostError,
    Redirected,
    Whereof,
    find_service,
    read_answer,
)
from holdfast.plane.values import shown

#: One question with its redirect: connecting, and every byte of the answer.
ANSWERED_WITHIN_S = 10.0
AT_ONCE = 8
#: A server that could not be reached so often in one run is asked no more in it.
GIVEN_UP_AFTER = 5


class LostUnreachable(LostError):
    """The LoST server cannot be reached."""

    mend = "see that the trunk group's LoST server answers from here, then run 'holdfast location route'"


@dataclass(frozen=True, slots=True)
class Question:
    """One place to ask one server about. `validate`: its civic address, too (RFC 5222 §8.3.5)."""

    url: str
    place: Whereof
    validate: bool = False


Answer = Found | LostError


def ask(questions: Sequence[Question]) -> list[Answer]:
    """An answer to each question, in their order; some may be errors. Not for a thread that runs an event loop."""
    return asyncio.run(ask_all(questions))


async def ask_all(questions: Sequence[Question]) -> list[Answer]:
    """As `ask`, for a running event loop."""
    if not questions:
        return []
    # the system's certificates, where an emergency network's own authority can be added; no proxy stands in between
    async with httpx.AsyncClient(
        verify=ssl.create_default_context(), trust_env=False, follow_redirects=False, timeout=ANSWERED_WITHIN_S
    ) as client:
        run = _Run(client)
        return list(await asyncio.gather(*map(run.answer, questions)))


class _Run:
    """One run over many questions: few at once, and none to a server that is away."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._failures: Counter[str] = Counter()

    async def answer(self, question: Question) -> Answer:
        async with self._turn:
            if self._failures[question.url] >= GIVEN_UP_AFTER:
                return LostUnreachable(f"{question.url} was away {GIVEN_UP_AFTER} times, and was asked no more")
            try:
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    found = await self._find(question)
            except TimeoutError:
                self._failures[question.url] += 1
                return LostUnreachable(f"{question.url} did not answer within {ANSWERED_WITHIN_S:.0f} s")
            except LostUnreachable as error:
                self._failures[question.url] += 1
                return error
            except LostError as error:
                return error
            self._failures[question.url] = 0
            return found

    async def _find(self, question: Question) -> Found:
        """One redirect is followed: the servers that are asked know who knows (RFC 5222 §13.3)."""
        request = find_service(question.place, validate=question.validate)
        answer = read_answer(await self._post(question.url, request))
        if isinstance(answer, Redirected):
            there = str(httpx.URL(question.url).copy_with(host=answer.target))
            if there == question.url:
                raise LostError(f"{question.url} redirects to itself")
            answer = read_answer(await self._post(there, request))
            if isinstance(answer, Redirected):
                raise LostError(f"{there}, where we were redirected, redirects again to {answer.target}")
        return answer

    async def _post(self, url: str, body: bytes) -> bytes:
        """The body of the answer, which is read no further than any answer goes. Nothing is decompressed."""
        headers = {"Content-Type": f"{CONTENT_TYPE};charset=utf-8", "Accept": CONTENT_TYPE,
                   "Accept-Encoding": "identity", "User-Agent": "holdfast"}  # fmt: skip
        try:
            if (httpx.URL(url).port or 0) > 65535:
                raise httpx.InvalidURL("no such port")
            async with self._client.stream("POST", url, content=body, headers=headers) as response:
                if response.status_code != httpx.codes.OK:
                    raise _http_trouble(url, response.status_code)
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise LostError(f"{url} compresses its answer, though it was asked not to")
                received = bytearray()
                async for chunk in response.aiter_raw():
                    received += chunk
                    if len(received) > MOST_BYTES:
                        raise LostError(f"{url} sends more than {MOST_BYTES} bytes, which is no answer of LoST")
                return bytes(received)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LostUnreachable(f"{url} cannot be asked: {shown(str(error) or type(error).__name__)}") from error


def _http_trouble(url: str, status: int) -> LostError:
    if 500 <= status < 600:
        return LostUnreachable(f"{url} answers with HTTP {status}")
    if 300 <= status < 400:
        return LostError(f"{url} answers with HTTP {status}: give the trunk group the URL that it leads to")
    return LostError(f"{url} answers with HTTP {status}")
