"""Sessions as Python objects: `get_session_info()`, `SessionInfo`, live fallback."""
