"""Cases: what is asked, and the strategies that build it."""
