"""What people see in MLflow: a run's name and colour, the charts of all trials, the note above them. It sends
nothing."""
