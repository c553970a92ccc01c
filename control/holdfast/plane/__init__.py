"""The control plane: PostgreSQL, and what provisions it."""
