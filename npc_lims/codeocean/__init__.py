"""Code Ocean as people use it from Python: data assets of sessions, runs and their verdicts."""
