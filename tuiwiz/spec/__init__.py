"""What a run is: one frozen struct per bundle section, the fields' meaning, and the rules between them. No I/O."""
