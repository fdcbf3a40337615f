#!/bin/bash

cat /app/policy.txt

cd /app && find site -type d -exec chmod 755 {} + && find site -type f -exec chmod 644 {} +

chmod 755 site/bin/*.sh

find site/secrets -type f -exec chmod 600 {} + && find site/secrets -type d -exec chmod 700 {} +

chmod 770 site/var/spool && chmod 660 site/var/spool/*

chmod 444 site/README.md

find site | LC_ALL=C sort | while read -r path; do stat -c '%a %n' "$path"; done > modes.txt

cat modes.txt
