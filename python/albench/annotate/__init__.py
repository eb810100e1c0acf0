"""The server behind the page in which annotators draw: what they are asked, pictures, and what they save."""
