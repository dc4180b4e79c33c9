"""Walking rules, checks and the ledger, and counting what is seen."""
