#!/bin/sh
# Run by the database's image when it makes its data folder: a user that owns the one database and is no superuser.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  --set password="$(cat /run/secrets-database/gatehouse-password)" <<'SQL'
create role gatehouse login password :'password';
create database gatehouse owner gatehouse;
revoke connect on database gatehouse from public;
SQL
