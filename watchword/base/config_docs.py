"""`docs/configuration.md`, made from the settings themselves, so that the two cannot part.

After changing a setting: `python -m watchword.base.config_docs > docs/configuration.md`. A test compares them.
"""

import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from watchword.base.config import Config, RateLimits
from watchword.base.config_reading import Setting, described, in_units, settings_of

_HEAD = """\
# Configuration

One TOML file holds the settings; `watchword serve --config watchword.toml` reads it. Only `server_name` must be set.

- **Environment.** Each setting has a variable: `WATCHWORD_`, the table, two underscores and the name, in capitals:
  `WATCHWORD_FEDERATION__ENABLED=false`. Lists are JSON or separated by commas; `listeners` is JSON. The environment wins
  over the file.
- **Flags.** `--set federation.enabled=false` wins over both.
- **Durations** (`…_ms`) are milliseconds, or text such as `"7d"`, `"12h"`, `"30m"`, `"10s"`. **Sizes** (`…bytes…`) are
  bytes, or text such as `"50MiB"` or `"100MB"`.
- **Paths** start at the folder of the file.
- Everything is checked at the start. A mistake is shown with the file, the setting, what was found and what was expected;
  all mistakes are shown at once.

```toml
server_name = "example.org"
public_base_url = "https://matrix.example.org"
data_dir = "/var/lib/watchword"

[[listeners]]
host = "127.0.0.1"
port = 8008
serves = ["client", "federation"]
trusted_proxies = ["127.0.0.0/8"]

[registration]
mode = "invitation"
```
"""
_FOOT = """\
## Variables that are no settings

`WATCHWORD_CONFIG` names the file. Variables that begin with `WATCHWORD_SERVICE_` or `WATCHWORD_PORT` are not read: Kubernetes
makes them for a service of that name.
"""


def page() -> str:
    """The whole page."""
    return "\n".join((_HEAD, *_sections(), _FOOT))


def _sections() -> Iterator[str]:
    tables: dict[str, list[Setting]] = {}
    for setting in settings_of(Config):
        tables.setdefault(setting.key.rpartition(".")[0], []).append(setting)
    rates = {key: rows for key, rows in tables.items() if key.startswith("rate_limits.")}
    for table, settings in tables.items():
        if table in rates:
            continue
        yield from _section(table, settings)
        if table == "rate_limits":
            yield from _rates(list(rates))


def _section(table: str, settings: list[Setting]) -> Iterator[str]:
    if not table:
        yield "## The server\n"
    elif table.endswith("[]"):
        yield f"## `[[{table.removesuffix('[]')}]]`\n\n{_summary(table)}\n"
    else:
        yield f"## `[{table}]`\n\n{_summary(table)}\n"
    yield "| setting | takes | default | meaning |\n|---|---|---|---|"
    for setting in settings:
        takes = described(setting.kind, setting.meta, setting.key)
        name = setting.key.rpartition(".")[2]
        yield f"| `{name}` | {takes} | {_default(setting)} | {setting.meta.description} |"
    yield ""


def _rates(tables: list[str]) -> Iterator[str]:
    yield (
        "Each kind of request draws from a bucket of its user (before there is one: its address; for servers: the server's\n"
        "name). `burst` requests may come at once, `per_second` in the long run; a table gives both.\n"
    )
    yield "| table | `per_second` | `burst` | for |\n|---|---|---|---|"
    for table in tables:
        name = table.rpartition(".")[2]
        default = getattr(RateLimits(), name)
        yield f"| `[{table}]` | {default.per_second:g} | {default.burst} | {_RATES[name]} |"
    yield ""


_RATES = {
    "read": "what changes nothing",
    "write": "what changes something, messages apart",
    "message": "messages and state of a room",
    "login": "logging in, by address",
    "register": "making accounts, by address",
    "invite": "invites and direct messages to strangers",
    "media": "uploads and downloads",
    "federation": "requests of other servers, by server",
}


def _summary(table: str) -> str:
    kind: Any = Config
    for name in table.split("."):
        info = next(info for info in msgspec.structs.fields(kind) if info.name == name.removesuffix("[]"))
        kind = info.type if isinstance(info.type, type) else info.type.__args__[0]
    return str(kind.__doc__).partition("\n")[0]


def _default(setting: Setting) -> str:
    if setting.required:
        return "must be set"
    default = setting.default
    if default is None:
        return "unset"
    if default in ((), {}) or default is msgspec.NODEFAULT:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return "`" + msgspec.json.encode(default).decode() + "`"
    if isinstance(default, str):
        return f'`"{default}"`'
    return f"`{_with_unit(setting.key, default)}`"


def _with_unit(key: str, number: object) -> str:
    if isinstance(number, int) and (with_unit := in_units(key, number)) is not None:
        return f'"{with_unit}"'
    return f"{number:g}" if isinstance(number, float) else str(number)


if __name__ == "__main__":
    sys.stdout.write(page())
