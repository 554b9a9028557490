"""Text VAEs and their training, on torch and numpy alone. The ways in are `train` (a command) and `trainable`
(Ray Tune's), and only the latter knows Ray."""

import gc

# Torch and Ray make 300,000 objects as they are imported, MLflow more, none of them garbage. To look through
# them again and again takes a quarter of the time that a process needs to start.
gc.set_threshold(100_000, 20, 100)
