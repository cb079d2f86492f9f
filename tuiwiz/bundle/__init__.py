"""Bundles on disk: TOML in with every problem at once, TOML out in a stable form, digest, difference, edits."""
