"""What push needs others to fit."""

from typing import Any, Protocol

from watchword.edge.fetch import Outgoing


class Gateways(Protocol):
    """The way out to push gateways. Fitted by `edge.fetch.Fetcher`."""

    async def fetch_json(self, outgoing: Outgoing) -> dict[str, Any]:
        """The JSON object that the gateway answers with. Raises PeerError."""
        ...
