"""Training: the only rooms that know skorch. Nothing outside imports more than what is here."""
