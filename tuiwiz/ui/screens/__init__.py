"""One screen a file; heavy imports stay inside the screen that needs them."""
