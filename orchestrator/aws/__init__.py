"""What a cluster needs of an AWS account, made there once, and the `cluster.yaml` filled in with it. Nothing
else of the project knows AWS."""
