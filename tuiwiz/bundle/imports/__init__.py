"""Configurations of other fine-tuning tools as bundles. They are read as text or syntax and never executed."""
