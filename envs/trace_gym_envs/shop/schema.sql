create table shop (name text, today integer);
create table products (
  sku text primary key, name text, brand text, department text, noun text, shape text,
  price integer, stock integer, weight_g integer, warranty integer, stars integer, ratings integer, words text
) without rowid;
create table features (sku text, name text, value text, primary key (sku, name)) without rowid;
create table customers (
  id integer primary key, name text, email text, phone text, newsletter integer, language text,
  card integer, address integer, coupon text
);
create table sessions (token text primary key, customer integer, notice text) without rowid;
create table addresses (
  id integer primary key, customer integer, label text, name text, street text, postcode text, town text
);
create table cards (id integer primary key, customer integer, brand text, last4 text);
create table cart (customer integer, sku text, quantity integer, primary key (customer, sku)) without rowid;
create table coupons (
  code text primary key, percent integer, amount integer, department text, minimum integer, expires integer
) without rowid;
create table orders (
  number text primary key, customer integer, day integer, status text, delivered integer, destination text,
  card text, method text, coupon text, goods integer, discount integer, delivery integer, total integer,
  fresh integer
) without rowid;
create index orders_of on orders (customer);
create table lines (number text, sku text, quantity integer, price integer, primary key (number, sku)) without rowid;
create table returns (
  number text, sku text, quantity integer, reason text, refund text, primary key (number, sku)
) without rowid;
create table reviews (
  id integer primary key, sku text, customer integer, author text, stars integer, title text, text text, day integer
);
create index reviews_of on reviews (sku);
create table rules (code text primary key, topic text, text text) without rowid;
create table rivals (sku text primary key, leaves integer, came integer) without rowid;
