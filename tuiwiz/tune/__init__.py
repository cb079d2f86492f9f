"""Finds settings: a study is many bundles, their runs and one result table."""
