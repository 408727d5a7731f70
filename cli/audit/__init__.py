"""`sluice audit`: what no guarantee of a single part can show."""
