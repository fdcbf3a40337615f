#!/bin/bash

cd /app

head -n 3 data/*.csv

wc -l data/*.csv

tail -n +2 data/orders.csv | LC_ALL=C sort | uniq -d

rm -f shop.db; cat > /tmp/schema.py <<'EOF'
import sqlite3
base = sqlite3.connect("/app/shop.db")
base.execute("CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, name TEXT, region TEXT)")
base.execute("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, customer_id INTEGER, day TEXT, state TEXT)")
base.execute("CREATE TABLE items (order_id INTEGER, product TEXT, quantity INTEGER, cents INTEGER)")
base.commit()
EOF

python3 /tmp/schema.py

cat > /tmp/load.py <<'EOF'
import csv, sqlite3
base = sqlite3.connect("/app/shop.db")
for row in csv.DictReader(open("/app/data/customers.csv")):
    base.execute("INSERT INTO customers VALUES (?, ?, ?)", (int(row["customer_id"]), row["name"], row["region"]))
for row in csv.DictReader(open("/app/data/orders.csv")):
    base.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)",
                 (int(row["order_id"]), int(row["customer_id"]), row["day"], row["state"]))
for row in csv.DictReader(open("/app/data/items.csv"), delimiter=";"):
    cents = round(float(row["price"]) * 100)
    base.execute("INSERT INTO items VALUES (?, ?, ?, ?)", (int(row["order_id"]), row["product"], int(row["quantity"]), cents))
base.commit()
EOF

python3 /tmp/load.py

cat > /tmp/ask.py <<'EOF'
import sqlite3, sys
for row in sqlite3.connect("/app/shop.db").execute(sys.argv[1]):
    print(",".join(str(value) for value in row))
EOF

python3 /tmp/ask.py "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM orders), (SELECT count(*) FROM items)"

{ echo region,month,revenue; python3 /tmp/ask.py "SELECT region, substr(day, 1, 7) AS month, printf('%.2f', sum(quantity * cents) / 100.0) FROM items JOIN orders USING (order_id) JOIN customers USING (customer_id) WHERE state = 'paid' GROUP BY region, month ORDER BY region, month"; } > revenue.csv

{ echo name,revenue; python3 /tmp/ask.py "SELECT name, printf('%.2f', sum(quantity * cents) / 100.0) FROM items JOIN orders USING (order_id) JOIN customers USING (customer_id) WHERE state = 'paid' GROUP BY customer_id ORDER BY sum(quantity * cents) DESC LIMIT 3"; } > best.csv

python3 /tmp/ask.py "SELECT name FROM customers WHERE customer_id NOT IN (SELECT customer_id FROM orders WHERE state = 'paid') ORDER BY name" > never.txt

cat revenue.csv best.csv never.txt
