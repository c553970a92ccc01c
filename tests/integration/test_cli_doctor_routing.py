"""`holdfast doctor` finds what would send emergency calls another way than their operator means."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast import ip_table
from holdfast import settings as settings_file
from holdfast.commands import health_routing
from holdfast.commands.finding import Finding, Level
from holdfast.edge import clock
from holdfast.edge import store as edge_store
from holdfast.settings import Settings
from integration.command import on_node
from integration.postgres import Database
from lab.postgres import PrivatePostgres
from unit import edge_rows


@pytest.fixture
def settings(tmp_path: Path, postgres: PrivatePostgres) -> Settings:
    found = settings_file.load(on_node(tmp_path, Database(postgres, "none")).config)
    ip_table.default_table(found.node.state_dir)
    return found


@pytest.fixture
def store(settings: Settings) -> Iterator[Any]:
    """One PSAP's carrier and a screening centre; nothing to complain of."""
    with closing(edge_store.connect(settings.node.edge_store)) as connection:
        edge_rows.provision(connection)
        edge_rows.row(connection, "trunk_group", id=2, name="screeners", emergency=0, ordinary=0, screening=1)
        yield connection


def found(settings: Settings) -> list[Finding]:
    return list(health_routing.check_routing(settings))


def complaints(settings: Settings) -> list[str]:
    findings = [finding for finding in found(settings) if finding.level is not Level.OK]
    assert all(finding.mend for finding in findings)
    return [finding.message for finding in findings]


@pytest.mark.usefixtures("store")
def test_nothing_is_wrong_with_a_sound_node(settings: Settings) -> None:
    assert complaints(settings) == []


def test_a_table_of_addresses_that_is_not_there_is_found(settings: Settings, store: Any) -> None:
    del store
    ip_table.table_path(settings.node.state_dir).unlink()
    [complaint] = complaints(settings)
    assert "ip-country" in complaint


def test_a_trunk_that_is_down_is_named(settings: Settings, store: Any) -> None:
    now = clock.now().wall_s
    edge_rows.row(store, "trunk_health", trunk_id=2, address="192.0.2.2", port=5060, transport="udp", state="down",
                  changed_at=now, checked_at=now, failures=3, reason="silent")  # fmt: skip
    [complaint] = complaints(settings)
    assert "carrier-2" in complaint


def test_a_platform_without_a_screening_centre_is_told_what_that_means(settings: Settings, store: Any) -> None:
    store.execute("delete from trunk_group where screening = 1")
    [complaint] = complaints(settings)
    assert "no screening centre" in complaint


def test_l1_locations_by_reference_that_nobody_could_fetch_are_a_failure(settings: Settings, store: Any) -> None:
    store.execute("update trunk_group set location_method = 'reference' where id = 1")
    [complaint] = complaints(settings)
    assert "carrier wants locations by reference" in complaint
    with_api = replace(settings, api=replace(settings.api, location_base_url="https://lis.example.org"))
    assert complaints(with_api) == []


def test_locations_whose_psap_was_never_found_are_counted(settings: Settings, store: Any) -> None:
    store.execute("update trunk_group set psap_method = 'boundary' where id = 1")
    for location in (1, 2):
        edge_rows.row(store, "location", id=location, tenant_id=1, name=str(location), country="US", civic="{}",
                      latitude=1.0, longitude=1.0, validation="manual")  # fmt: skip
    edge_rows.row(
        store, "location_psap", id=1, location_id=1, trunk_group_id=1, psap_uri="tel:911", found_by="boundary"
    )
    [complaint] = complaints(settings)
    assert "1 locations have no PSAP" in complaint
