"""The twelve sorts of errands; each is a function from a generator and a world to an errand."""
