"""The four sources: each turns the responses of an external system into an `Observation`."""
