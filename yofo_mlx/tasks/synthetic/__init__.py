"""Generated tasks: as many as are asked for, in words, each a pure function of seed and number."""
