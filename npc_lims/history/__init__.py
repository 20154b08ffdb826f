"""What happened to sessions, as the commits of state tell it."""
