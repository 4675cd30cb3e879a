"""Discovery: versions, well-known files and capabilities. Spec: client-server-api#server-discovery"""
