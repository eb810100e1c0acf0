"""What annotators draw in the browser, kept unit by unit and version by version beside the query."""
