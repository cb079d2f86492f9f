"""The run folder's contract: the only language between the executor and everybody else."""
