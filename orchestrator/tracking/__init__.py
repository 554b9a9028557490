"""What MLflow is told: the tracker says it, the rooms below word it and deliver it. It computes nothing and
reads nothing back."""
