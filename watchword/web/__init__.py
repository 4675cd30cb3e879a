"""The web client and the console: assets and a file server.

It talks to us only over HTTP, as any client does. Deliberately absent: imports of the server.
"""
