def load(settings):
    """Reads cache_ttl, which is in minutes."""
    ttl = settings["cache_ttl"]
    return {"expires": ttl * 60}
