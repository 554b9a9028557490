"""What a trained model is worth: NLL, KL, information, IW-NLL, texts, reconstructions. It changes no
weight."""
