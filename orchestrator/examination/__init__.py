"""The second pass over the runs that figures rest on: a tighter bound, what the model says, what its latent
knows. It chooses no runs by their result and changes no verdict on NLL + KL."""
