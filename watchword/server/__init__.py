"""The homeserver: features in a declared order, joined by the log. `app.py` is the one module that knows them all."""
