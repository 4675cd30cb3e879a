"""Every door of push."""

from watchword.server.push import endpoints_rules

ENDPOINTS = endpoints_rules.ENDPOINTS
