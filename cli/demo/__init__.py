"""The demonstration: a real access log through the whole pipeline, and the numbers it must come to."""
