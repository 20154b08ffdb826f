"""Commit what syncs saw, and push it, safely against everybody else who does."""
