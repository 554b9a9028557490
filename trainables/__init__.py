"""Text VAEs and their training; `trainable` wraps them for Ray Tune."""
