"""`sluice keys`: tracking keys over the API of a collector."""
