"""The demonstration behind `watchword demo`: two organisations on loopback, real servers, real TLS, real encryption.

`authority` makes certificates, `servers` runs the servers as processes of their own, `conversation` has what is said,
`story` is the plot, `search` looks for anything readable that should not be.
"""
