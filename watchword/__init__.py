"""Watchword: a federated, end-to-end encrypted messenger on Matrix, and a defensive watch."""

__version__ = "0.1.0"
