"""The ground floor: the record of a split's figures, and hints about misspelt names. It imports no other
room, nor torch."""
