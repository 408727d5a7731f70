"""`sluice spool`: what collectors hold for a Kafka that is away; with the collectors running or stopped."""
