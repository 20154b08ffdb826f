"""Totals, items that need attention, and the site."""
