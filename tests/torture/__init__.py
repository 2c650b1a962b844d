"""Faults, done to real servers under load; afterwards every acknowledged record is counted."""
