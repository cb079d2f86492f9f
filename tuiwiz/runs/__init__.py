"""Run folders: named, launched, supervised, found and compared. The only room that starts the executor."""
