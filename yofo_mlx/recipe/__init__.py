"""The recipe: every knob of a run, declared once, read from TOML and written back."""
