"""What is generated from an Avro schema: msgspec types that decode and validate JSON, and encoders to Avro."""
