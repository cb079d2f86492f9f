"""What is wrong with a run, or with this machine: rules over the folded events, each with evidence and one change."""
