"""Running capsules and pipelines of Code Ocean for sessions: what is to run, what was run, and what came of it."""
