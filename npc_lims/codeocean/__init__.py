"""Public functions that return the official SDK's objects: data assets of sessions, and runs."""
