"""What the machine gives: files, processes, memory, a terminal, text made safe to print."""
