"""Exports of state and history as tables."""
