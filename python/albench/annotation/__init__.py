"""Files for annotators: what is handed out, and what comes back."""
