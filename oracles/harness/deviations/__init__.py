"""What released versions of torch are known to get wrong."""
