"""Names of questions that are spoken of elsewhere; this file needs no torch, as questions may."""

EDITS, LATE, TOLD = "edited rates", "late groups", "told rates"
