"""Keeps what runs in the environments of other packages from being imported here."""

collect_ignore = ["ask_npc_sessions.py"]
