"""A bounded cache with eviction of the least recently used, and expiry."""
