#!/bin/bash

cd /app

grep -rn -i 'cache.ttl' services docs vendor | LC_ALL=C sort

cp -R services docs /tmp/

cat > /tmp/minutes.awk <<'EOF'
/^cache_ttl *=/ { match($0, /[0-9]+/); $0 = substr($0, 1, RSTART - 1) (60 * substr($0, RSTART)); sub(/cache_ttl/, "cache_seconds") }
{ print }
EOF

for f in services/web/web.ini services/mail/mail.ini; do awk -f /tmp/minutes.awk "$f" > /tmp/new && cat /tmp/new > "$f"; done

cat services/web/web.ini services/mail/mail.ini

sed -i 's/"cache_ttl": 30,/"cache_seconds": 1800,/; s/"cache_ttl": 2,/"cache_seconds": 120,/' services/api/api.json

python3 -m json.tool services/api/api.json

sed -i 's/CACHE_TTL=5/CACHE_SECONDS=300/; s/CACHE_TTL/CACHE_SECONDS/g; s/--cache-ttl/--cache-seconds/' services/web/start.sh

sed -i 's/cache_ttl/cache_seconds/g; s/in minutes/in seconds/; s/ttl \* 60/ttl/' services/api/handler.py

sed -i 's/`cache_ttl` (minutes)/`cache_seconds` (seconds)/' services/mail/README.md

sed -i 's/^| cache_ttl | minutes |/| cache_seconds | seconds |/' docs/settings.md

find services docs -type f | LC_ALL=C sort | while read -r f; do cmp -s "$f" "/tmp/$f" || echo "$f"; done > changed.txt

cat changed.txt services/api/handler.py services/web/start.sh
