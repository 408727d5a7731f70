"""`sluice rollups`: compare the rollups with a recount of the base, and make them whole."""
