"""The state tree, in a folder or a commit: one YAML file per session, their snapshot, and the times of syncs."""
