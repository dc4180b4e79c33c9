"""Which numbers say in one convention what other numbers say in another: tables, and no more."""
