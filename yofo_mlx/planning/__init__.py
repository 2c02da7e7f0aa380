"""Planning: what a run works on, whether it fits, and how long it takes."""
