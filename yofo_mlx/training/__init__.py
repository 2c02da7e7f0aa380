"""Training: one update after another, from a fresh adapter to the best one."""
