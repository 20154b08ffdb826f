"""Changes of sessions, read from the commits of state, and exports of them."""
