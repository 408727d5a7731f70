"""`sluice streams status`, `pause` and `resume`: what an operator asks and tells all stream workers."""
