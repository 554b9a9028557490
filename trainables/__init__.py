"""Text VAEs and their training, on torch and numpy alone. The ways in are `train` (a command) and `trainable`
(Ray Tune's), and only the latter knows Ray."""
