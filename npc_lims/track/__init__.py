"""Edit and review the text of tracked_sessions.yaml."""
