"""Text VAEs and their training, on torch and numpy alone. The ways in are `train` (a command) and `trainable`
(Ray Tune's), and only the latter knows Ray."""

import gc

# Torch, Ray and MLflow make a million objects as they are imported, none of them garbage. To look through
# them again and again takes a quarter of the time that a process needs to start.
gc.set_threshold(100_000, 20, 100)
