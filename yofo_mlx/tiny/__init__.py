"""The embedded model: its tokenizer, network and weights, and how they were made."""
