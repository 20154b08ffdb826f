"""The site: a folder of static files made from state and its history."""
