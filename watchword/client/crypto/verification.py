"""stub"""

from watchword.client.crypto.requests import Notice
from typing import Any


class Verifications:
    def __init__(self, *a: Any) -> None:
        self.notices: list[Notice] = []

    def receive(self, sender: str, event_type: str, content: Any) -> None: ...
    def check_devices(self) -> None: ...
