"""What the machine gives: files, processes, memory, a terminal, text and quantities to print."""
