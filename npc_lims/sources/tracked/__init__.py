"""The source `tracked`: entries of `tracked_sessions.yaml`."""
