"""The topic of a room as plain text. Deliberately absent: its other forms, which are for clients.

Spec: client-server-api#mroomtopic
"""

from collections.abc import Mapping
from typing import Any

_PLAIN = "text/plain"
_FORMS_MAX = 20


def plain_topic(content: Mapping[str, Any]) -> str | None:
    """The plain text of an m.room.topic event; None if there is none.

    The extensible form wins where it is there and valid; one without a plain representation has no plain topic.
    """
    extensible = content.get("m.topic")
    forms = extensible.get("m.text") if isinstance(extensible, Mapping) else None
    if isinstance(forms, list) and forms:
        for form in forms[:_FORMS_MAX]:
            if isinstance(form, Mapping) and form.get("mimetype", _PLAIN) == _PLAIN and isinstance(form.get("body"), str):
                return str(form["body"])
        return None
    topic = content.get("topic")
    return topic if isinstance(topic, str) else None
