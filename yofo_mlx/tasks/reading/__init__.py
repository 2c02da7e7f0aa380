"""Reading: from what somebody names (a file, a folder, a hub id) to rows with their places."""
