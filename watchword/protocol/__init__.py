"""Matrix, pure: values in, values out. No I/O, no clock, no randomness, no async.

Whatever a server and a client must agree on is here: identifiers, canonical JSON, event formats, hashes, signatures,
authorisation rules, state resolution, push-rule evaluation. Room versions are one table of flags.
"""
