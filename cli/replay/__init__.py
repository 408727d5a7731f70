"""`sluice replay`: plan a window, run the plan, take it back. Asked for and shown here; done by `replay`."""
