"""Trials under Ray Tune: what each may use, when it is saved, what it comes to, how it goes on after a
loss. Nothing but this room and the search knows Ray Tune's own ways."""
