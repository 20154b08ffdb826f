"""Servers that tests talk to, all on loopback: each answers as the real one is documented to."""
