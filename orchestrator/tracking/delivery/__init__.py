"""The way to MLflow: entries in an outbox, a courier that delivers them, the store that makes MLflow's calls.
It does not know what an entry means, and loses none."""
