"""What a run has seen, for people: tables on a terminal."""
