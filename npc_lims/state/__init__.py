"""The `state/` folder: one YAML file a session, a snapshot of them all, and what the last syncs saw."""
