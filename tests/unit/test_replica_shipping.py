"""Whose fault a refused journal row is: the row's, which is put aside, or the server's, which is tried again."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from holdfast.edge.follow import Follower
from holdfast.edge.gauges import Gauges
from holdfast.edge.keeper import StoreKeeper
from holdfast.edge.replica import Change
from holdfast.edge.store import connect
from holdfast.edge.uplink import Identity, StatementRefusedError
from holdfast.errors import DatabaseUnavailable
from holdfast.settings import Node, Settings


class Uplink:
    """PostgreSQL as far as these tests ask it. `verdict` says what it answers to a journal row, None for yes."""

    def __init__(self, verdict: Callable[[dict[str, Any]], psycopg.Error | None]) -> None:
        self.verdict = verdict
        self.standby = False
        self.taken: list[int] = []
        self.changes: list[Change] = []
        self.sync_refused = False
        self.claims = 0

    async def identity(self) -> Identity:
        return Identity("database", self.standby)

    async def node_id(self, name: str) -> int:
        assert name == "edge-1"
        return 1

    async def has_reached(self, revision: int) -> bool:
        return revision < 100

    async def changes_since(self, revision: int, most: int) -> list[Change]:
        assert most == 500
        if self.sync_refused:
            raise StatementRefusedError(errors.QueryCanceled())
        return [change for change in self.changes if change.revision > revision]

    async def claim(self, node_id: int, store_id: str, pool_id: int, wanted: int) -> list[str]:
        assert (node_id, len(store_id), pool_id) == (1, 32, 1)
        self.claims += 1
        return [f"+1404555{self.claims}{number:03}" for number in range(wanted)]

    async def leases(self, node_id: int) -> list[dict[str, Any]]:
        assert node_id == 1
        return []

    async def erase_ended_leases(self) -> int:
        return 0

    async def erase_expired_references(self) -> int:
        return 0

    async def ship(self, node_id: int, store_id: str, entries: Sequence[dict[str, Any]]) -> int:
        assert (node_id, len(store_id)) == (1, 32)
        for entry in entries:
            error = self.verdict(entry)
            if error:
                raise StatementRefusedError(error)
        self.taken += [entry["seq"] for entry in entries]
        return max(self.taken, default=0)


def rows(path: Path, *names: str) -> None:
    connection = connect(path)
    for name in names:
        connection.execute(
            "insert into journal (at, kind, payload) values (1, 'lease', ?)", (json.dumps({"id": name}),)
        )
    connection.close()


def asks(path: Path, query: str) -> list[Any]:
    connection = connect(path)
    try:
        return [row[0] for row in connection.execute(query).fetchall()]
    finally:
        connection.close()


def one_round(path: Path, uplink: Uplink) -> None:
    rounds(path, uplink, lambda: None)


def rounds(path: Path, uplink: Uplink, *before_each: Callable[[], None]) -> None:
    """As many rounds as there is something to do before; all are made, and the first refusal is raised at the end."""

    async def follow() -> None:
        refused: list[StatementRefusedError] = []
        keeper = StoreKeeper(path)
        try:
            settings = Settings(Path("unused"), Node("edge-1", path.parent))
            follower = await Follower.begin(settings, keeper, uplink, Gauges())  # type: ignore[arg-type]
            for prepare in before_each:
                prepare()
                try:
                    await follower.round()
                except StatementRefusedError as error:
                    refused.append(error)
        finally:
            await keeper.close()
        if refused:
            raise refused[0]

    asyncio.run(follow())


@pytest.mark.parametrize(
    "error",
    [errors.InvalidTextRepresentation(), errors.CheckViolation(), errors.RaiseException(), errors.UndefinedColumn()],
)
def test_a_row_that_alone_is_refused_is_put_aside(tmp_path: Path, error: psycopg.Error) -> None:
    path = tmp_path / "edge.db"
    rows(path, "good", "bad", "good")
    uplink = Uplink(lambda entry: error if entry["payload"] == {"id": "bad"} else None)
    one_round(path, uplink)
    assert asks(path, "select seq from journal_refused") == [2]
    assert uplink.taken == [1, 3, 4], "the last is the alarm"
    assert asks(path, "select shipped_seq from store") == [4]


@pytest.mark.parametrize(
    "error",
    [
        errors.ReadOnlySqlTransaction(), errors.LockNotAvailable(), errors.DiskFull(), errors.QueryCanceled(),
        errors.SerializationFailure(), errors.InsufficientPrivilege(), errors.UndefinedFunction(),
        errors.ForeignKeyViolation(),  # our node was deleted
    ],
)  # fmt: skip
def test_no_row_is_blamed_for_what_hits_all(tmp_path: Path, error: psycopg.Error) -> None:
    path = tmp_path / "edge.db"
    rows(path, "one", "two")
    with pytest.raises(StatementRefusedError):
        one_round(path, Uplink(lambda _entry: error))
    assert asks(path, "select count(*) from journal_refused") == [0]
    assert asks(path, "select shipped_seq from store") == [0]
    assert asks(path, "select caught_up from store") == [1], "what comes down does not wait for what goes up"


def test_a_single_row_is_put_aside_only_if_it_is_clearly_to_blame(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    rows(path, "bad")
    with pytest.raises(StatementRefusedError):
        one_round(path, Uplink(lambda _entry: errors.UndefinedColumn()))
    assert asks(path, "select count(*) from journal_refused") == [0]
    one_round(path, Uplink(lambda entry: errors.CheckViolation() if entry["seq"] == 1 else None))
    assert asks(path, "select seq from journal_refused") == [1]


def test_a_standby_that_lags_behind_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    uplink = Uplink(lambda _entry: None)
    one_round(path, uplink)
    connection = connect(path)
    connection.execute("update store set revision = 100")
    connection.execute("insert into tenant (id, name, country, max_emergency_calls) values (1, 'Acme', 'US', 1)")
    connection.close()
    uplink.standby = True
    with pytest.raises(DatabaseUnavailable, match="standby"):
        one_round(path, uplink)
    assert asks(path, "select revision from store") == [100]
    uplink.standby = False
    one_round(path, uplink)
    assert asks(path, "select count(*) from tenant") == [0], "the primary is"


def test_refusals_say_nothing_of_what_was_refused() -> None:
    class Told(errors.UniqueViolation):
        def __str__(self) -> str:
            return "Key (number)=(+12025550123) already exists."

    assert "+1202" not in str(StatementRefusedError(Told()))


POOL = {"id": 1, "name": "us", "trunk_group_id": 1, "country": "US", "tenant_id": None, "window_s": 3600,
        "rest_s": 0, "target_idle": 5}  # fmt: skip


def test_n3_a_node_that_cannot_fetch_or_store_the_numbers_it_claims_does_not_empty_the_pool(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    uplink = Uplink(lambda _entry: None)
    uplink.changes = [Change(1, "pool", "1", POOL)]

    def refuse() -> None:
        uplink.sync_refused = True

    def answer() -> None:
        uplink.sync_refused = False

    with pytest.raises(StatementRefusedError):
        rounds(path, uplink, refuse, refuse)
    assert uplink.claims == 0
    rounds(path, uplink, answer, answer, answer)
    assert uplink.claims == 1, "what was claimed did not come down, so it stops there"
    alarms = asks(path, "select payload from journal where kind = 'alarm'")
    assert [json.loads(alarm) for alarm in alarms] == [{"name": "claims_lost", "pool_id": 1}]
