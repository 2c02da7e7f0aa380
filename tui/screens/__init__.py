"""One module for each place of the app, and the dialogs over them."""
