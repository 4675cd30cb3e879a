"""The monitor: observations in, alerts out. It walks the same road as a message, over a log of its own."""
