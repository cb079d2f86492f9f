"""The lower panes of the run screen, one a file."""
