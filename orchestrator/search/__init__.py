"""What to run next: the plan of all trials, one trial's plan, and the searcher that asks Optuna. It trains
nothing and reads no results but those that it is told."""
