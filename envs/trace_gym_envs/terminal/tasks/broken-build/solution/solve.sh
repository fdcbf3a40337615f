#!/bin/bash

cd /app/project

cat build.sh

ls src

bash build.sh || true

sed -i 's/VERSION\.txt/VERSION/' build.sh

sed -i 's|^rm -f dist/tool.py$|mkdir -p dist\nrm -f dist/tool.py|' build.sh

sed -i 's|^for part in .*|for part in src/*.py; do|; s|cat \$part|cat "$part"|' build.sh

sed -i "s|^sed .*|sed \"s/@VERSION@/\$version/\" dist/tool.py > dist/tool.tmp|" build.sh

sed -i 's/md5sum/sha256sum/' build.sh

bash build.sh || true

tr -d '\r' < 'src/10 count.py' > /tmp/part && cat /tmp/part > 'src/10 count.py'

sed -i 's/(-pair\[1\], pair\[0\])$/(-pair[1], pair[0]))/' 'src/20 show.py'

bash build.sh

echo 'b a b' | python3 dist/tool.py
