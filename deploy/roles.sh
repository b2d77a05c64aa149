#!/bin/sh
# Creates the roles of the ledger: `lab` writes calls and sees its own, `watch` reads all.
# The image of PostgreSQL runs it for a new database. Elsewhere, set PGHOST and what else psql needs.
set -eu
secrets=${SECRETS:-/run/secrets}
LAB_PASSWORD=$(cat "$secrets/lab_password")
WATCH_PASSWORD=$(cat "$secrets/watch_password")
export LAB_PASSWORD WATCH_PASSWORD
psql --set=ON_ERROR_STOP=1 --quiet --no-psqlrc \
    --username "${POSTGRES_USER:-postgres}" --dbname "${POSTGRES_DB:-llmkit}" <<'SQL'
\getenv lab LAB_PASSWORD
\getenv watch WATCH_PASSWORD
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['llmkit_user', 'llmkit_admin', 'lab', 'watch']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE lab LOGIN PASSWORD :'lab';
ALTER ROLE watch LOGIN PASSWORD :'watch';
GRANT llmkit_user TO lab;
GRANT llmkit_admin TO watch;
SQL
