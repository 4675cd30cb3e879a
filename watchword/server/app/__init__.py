"""The composition root: the one place that knows every feature. It builds, starts, runs and stops a homeserver.

`homeserver` wires and lives; `settings` turns the configuration into what each feature asks for.
"""

from watchword.server.app.homeserver import SCHEMAS, Homeserver, World

__all__ = ["SCHEMAS", "Homeserver", "World"]
