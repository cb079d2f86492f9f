"""What every room shares: errors and exit codes, problems with hints, units, folders, atomic files, safe text."""
