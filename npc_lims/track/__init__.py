"""Editing of tracked_sessions.yaml in place: text in, text out."""
