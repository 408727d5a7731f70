"""`sluice generations`: which generations of which days readers see, and the runs that made them."""
