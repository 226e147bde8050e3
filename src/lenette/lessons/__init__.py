"""Lessons: what the networks do, worked out by hand and checked by machine."""
