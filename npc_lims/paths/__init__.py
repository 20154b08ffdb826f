"""Where a session's files are: one module for each kind of place."""
