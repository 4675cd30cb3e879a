"""Push: notification counts and the push gateway, following the log. Evaluating a rule is `protocol`'s.

Spec: client-server-api#push-notifications
"""
