"""`sluice retention`: what is to be deleted by age, and deleting it."""
