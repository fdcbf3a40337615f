#!/bin/bash
# Builds dist/tool.py from the parts in src/, in the order of their names, and dist/CHECKSUMS.
set -e
cd "$(dirname "$0")"

version=$(cat VERSION.txt)
rm -f dist/tool.py
for part in $(ls src/*.py); do
    cat $part >> dist/tool.py
done
sed 's/@VERSION@/$version/' dist/tool.py > dist/tool.tmp
mv dist/tool.tmp dist/tool.py
python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' dist/tool.py
cd dist
md5sum tool.py > CHECKSUMS
echo built tool.py $version
