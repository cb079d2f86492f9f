"""Other people's trackers, fed from a run's events. None of them can touch the run."""
