"""What goes over the wire is tested through `Fetcher`, in test_fetch; here, when this part is loaded at all."""

import subprocess
import sys

_SERVER = "import sys, watchword.server.app.homeserver; print([name for name in {names!r} if name in sys.modules])"
_HEAVY = ("aiohttp", "yarl", "PIL", "jinja2", "selectolax", "joserfc", "aiosmtplib", "cryptography")


def test_a_server_that_asks_nobody_loads_no_library_for_it() -> None:
    asked = [sys.executable, "-c", _SERVER.format(names=_HEAVY)]
    assert subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip() == "[]"
