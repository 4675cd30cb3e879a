"""Application services: their registrations, and what is delivered to them, following the log.

Spec: application-service-api
"""
