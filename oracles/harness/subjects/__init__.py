"""Who is asked: an optimizer class on one path, dtype and device. Only this folder knows torch."""
