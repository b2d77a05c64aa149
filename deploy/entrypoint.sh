#!/bin/sh
# Runs a command with secrets in its environment: the file openai_api_key becomes OPENAI_API_KEY.
set -eu
for file in "${SECRETS:-/run/secrets}"/*; do
    [ -f "$file" ] || continue
    name=$(basename "$file" | tr '[:lower:]' '[:upper:]')
    value=$(cat "$file")
    [ -z "$value" ] || export "$name=$value"  # an empty file is a secret that is not used
done
exec "$@"
