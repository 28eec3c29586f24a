#!/bin/bash
# Roles of the read database: sluice owns it and writes, reader only reads. Run once, by the image, on an empty data folder.
# WRITER_ROLE_PASSWORD and READER_ROLE_PASSWORD: their passwords.
set -euo pipefail

psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  -v database="$POSTGRES_DB" -v sluice_password="$WRITER_ROLE_PASSWORD" -v reader_password="$READER_ROLE_PASSWORD" <<'SQL'
BEGIN;
CREATE ROLE sluice LOGIN PASSWORD :'sluice_password';
CREATE ROLE reader LOGIN PASSWORD :'reader_password';

-- As its owner sluice may create schemas, tables and the extensions that PostgreSQL trusts; any other extension that a type
-- needs is for the superuser to create.
ALTER DATABASE :"database" OWNER TO sluice;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO reader;

-- A session may change this setting: the grants are what protects the data.
ALTER ROLE reader SET default_transaction_read_only = on;

-- Also for what sluice creates later: it makes schemas and tables as they appear on the primary.
ALTER DEFAULT PRIVILEGES FOR ROLE sluice GRANT USAGE ON SCHEMAS TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE sluice GRANT SELECT ON TABLES TO reader;
COMMIT;
SQL
