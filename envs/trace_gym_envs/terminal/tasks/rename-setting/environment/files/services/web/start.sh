#!/bin/sh
export CACHE_TTL=5
exec web --cache-ttl "$CACHE_TTL"
