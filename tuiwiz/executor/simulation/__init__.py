"""One training step on the meta device: what it would allocate, on a machine with no GPU and without any weights."""
