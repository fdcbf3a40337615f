#!/bin/bash

cd /app

base64 -d parcel.b64 > parcel.tar.gz

tar -xzf parcel.tar.gz

cat parcel/manifest.txt

mkdir -p decoded out

for n in $(awk '$3 == "hex" {print $2}' parcel/manifest.txt); do python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' < "parcel/pieces/$n" > "decoded/$n"; done

for n in $(awk '$3 == "base64" {print $2}' parcel/manifest.txt); do base64 -d "parcel/pieces/$n" > "decoded/$n"; done

for n in $(awk '$3 == "rot13" {print $2}' parcel/manifest.txt); do tr 'A-Za-z' 'N-ZA-Mn-za-m' < "parcel/pieces/$n" > "decoded/$n"; done

for n in $(awk '$3 == "gzip" {print $2}' parcel/manifest.txt); do gzip -dc < "parcel/pieces/$n" > "decoded/$n"; done

while read -r sum name encoding; do if [ "$(sha256sum < "decoded/$name" | cut -d ' ' -f 1)" = "$sum" ]; then echo "$name OK"; else echo "$name BAD"; fi; done < parcel/manifest.txt > verified.txt

: > out/letter.txt; for n in $(awk '{print $2}' parcel/manifest.txt); do cat "decoded/$n" >> out/letter.txt; done

cat verified.txt out/letter.txt

(cd out && sha256sum letter.txt > SHA256SUMS)

mkdir -p /tmp/pack && rm -rf /tmp/pack/letter && cp -R out /tmp/pack/letter

tar -czf letter.tar.gz -C /tmp/pack letter/letter.txt letter/SHA256SUMS

tar -tzf letter.tar.gz
