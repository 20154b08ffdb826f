"""Sample data of `npc-lims demo`: a small, invented lab, in which no mouse, session or asset is real."""
