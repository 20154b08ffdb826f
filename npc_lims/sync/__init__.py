"""Query the sources, reconcile, write and publish state."""
