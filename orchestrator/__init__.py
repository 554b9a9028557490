"""The sweep orchestrator. Its commands stand here, thin: arguments in, one call, an exit status out; all else
is in the rooms below. It never trains: that is the trainables'."""
