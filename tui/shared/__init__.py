"""What the places share: dialogs, tables, charts, words."""
