"""Accounts put together: what survives the end of the process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from watchword.protocol.ids import DeviceId
from watchword.server.accounts.assembly import AccountPorts, assemble_accounts
from watchword.storage import SqliteDatabase


async def test_tokens_and_sightings_survive_a_restart(house: Any, tmp_path: Path) -> None:
    me = await house.user("alice", device_id="A")
    await house.call("GET", "/_matrix/client/v3/account/whoami", by=me["access_token"])
    await house.accounts.close()
    await house.database.close()
    database = SqliteDatabase(tmp_path / "0.db")
    log = type(house.log)(database, house.log._encode, house.log._decode)
    ports = AccountPorts(house.elsewhere, house.elsewhere, house.elsewhere, house.elsewhere)
    accounts = assemble_accounts(house.accounts.settings, database, log, house.clock, house.accounts.registrar.entropy, ports)
    await log.start()
    again = replace(house, accounts=accounts, database=database, log=log, _routes=[])
    answer = await again.call("GET", "/_matrix/client/v3/account/whoami", by=me["access_token"])
    assert answer.body["device_id"] == "A"
    device = await accounts.reader.device(me["user_id"], DeviceId("A"))
    assert device is not None
    assert device.last_seen_ts == house.clock.now_ms()
    await accounts.close()
    await database.close()
