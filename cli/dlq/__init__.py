"""`sluice dlq`: dead letters by cause, and the rules that repair them."""
