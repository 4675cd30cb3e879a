"""What each operation costs, measured on real server processes over HTTP on loopback. Run it with `./run bench`.

Deliberately absent: any verdict. This is a program that prints figures; no test fails on a time.
"""
