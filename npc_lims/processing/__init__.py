"""Plan, start, collect and record runs of capsules and pipelines of Code Ocean."""
