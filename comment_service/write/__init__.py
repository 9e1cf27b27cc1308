"""Makes an admitted comment durable, once for each Idempotency-Key."""
