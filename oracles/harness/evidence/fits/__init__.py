"""What training loops answer, and which accounts of them hold."""
