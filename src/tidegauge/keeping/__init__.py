"""Keeping what a server holds: back-ups, restoring them, and finding what is broken."""
