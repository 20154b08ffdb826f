"""Sessions: ids, record, flags, rows, observations, reconciliation. Pure: nothing here reads or queries."""
