"""A commit whose outcome was not heard is looked up by its key: never taken for failed, never repeated blindly."""

from pathlib import Path

import pytest

from holdfast.errors import DatabaseUnavailable, InputError
from holdfast.plane import db, provisioning
from integration.lossy_proxy import LossyProxy
from integration.postgres import Database


def through(proxy: LossyProxy, database: Database) -> db.Connection:
    return db.open_connection(f"host={proxy.folder} dbname={database.name} user={db.ADMIN} connect_timeout=5")


def names(admin: db.Connection) -> list[object]:
    return [row[0] for row in admin.execute("select name from tenant").fetchall()]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "RECONNECT_WITHIN_S", 0.2)
    monkeypatch.setattr(db, "RECONNECT_EVERY_S", 0.02)


def test_a_change_whose_reply_was_lost_is_found_stored(database: Database, admin: db.Connection) -> None:
    with LossyProxy(database.postgres.folder, "reply") as proxy, through(proxy, database) as connection:
        provisioning.create_tenant(connection, {"name": "acme", "country": "US"})
        assert proxy.broke
        assert connection.closed
    assert names(admin) == ["acme"]


def test_a_change_that_never_arrived_is_reported_as_not_stored(database: Database, admin: db.Connection) -> None:
    with LossyProxy(database.postgres.folder, "request") as proxy, through(proxy, database) as connection:
        with pytest.raises(DatabaseUnavailable, match=r"nothing was changed \(tenant create acme\)"):
            provisioning.create_tenant(connection, {"name": "acme", "country": "US"})
        assert proxy.broke
    assert names(admin) == []


def test_a_change_that_cannot_be_looked_up_is_reported_as_unknown(database: Database, admin: db.Connection) -> None:
    with LossyProxy(database.postgres.folder, "reply", then_down=True) as proxy, through(proxy, database) as connection:
        with pytest.raises(DatabaseUnavailable, match=r"is not known: tenant create acme") as unknown:
            provisioning.create_tenant(connection, {"name": "acme", "country": "US"})
        assert "before you repeat it" in unknown.value.mend
    assert names(admin) == ["acme"]


def test_a_change_is_recorded_with_who_made_it(admin: db.Connection) -> None:
    provisioning.create_tenant(admin, {"name": "acme", "country": "US"})
    rows = admin.execute("select login, what from provisioning_change").fetchall()
    assert rows == [(db.ADMIN, "tenant create acme")]


def test_a_refused_change_leaves_nothing_and_the_connection_usable(admin: db.Connection) -> None:
    with pytest.raises(InputError):
        provisioning.create_tenant(admin, {"name": "acme", "country": "nowhere"})
    provisioning.create_tenant(admin, {"name": "acme", "country": "US"})
    assert admin.execute("select count(*) from provisioning_change").fetchone() == (1,)


def test_postgresql_that_goes_away_before_the_commit_changed_nothing(database: Database) -> None:
    with database.connect() as connection, database.connect("postgres") as superuser:
        superuser.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(DatabaseUnavailable):
            provisioning.create_tenant(connection, {"name": "acme", "country": "US"})
        assert names(superuser) == []


def test_no_postgresql_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"cannot be reached: .*No such file") as missing:
        db.open_connection(f"host={tmp_path} dbname=holdfast")
    assert "start it" in missing.value.mend
