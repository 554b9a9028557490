"""What MLflow tells back of sweeps and trials, with nothing left of their folders. It writes nothing
there."""
