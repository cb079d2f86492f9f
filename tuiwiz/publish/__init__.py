"""What a run leaves for others: a page, a text, a model card."""
