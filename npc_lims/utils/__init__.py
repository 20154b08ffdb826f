"""Pure helpers that import nothing of npc_lims."""
