"""Connectors to other messengers, used by bridges and by the watch. Deliberately absent: rooms, accounts, rules."""
