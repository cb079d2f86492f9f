"""The hardest moments of a run, really taken before it starts: when that is due, and what came of it."""
