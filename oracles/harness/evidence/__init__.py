"""What is known of a piece of code, and which candidates it leaves standing."""
