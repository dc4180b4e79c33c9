"""What was seen, for people and programs: tables, JSON lines, comparisons, a page and plots."""
