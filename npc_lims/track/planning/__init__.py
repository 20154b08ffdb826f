"""Entries planned from batch files and workbooks."""
