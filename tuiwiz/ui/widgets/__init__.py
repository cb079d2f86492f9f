"""Widgets without knowledge of a screen."""
