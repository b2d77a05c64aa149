#!/bin/sh
# Makes the secrets of compose.yaml in the folder `secrets`; those that exist stay as they are.
# The folder is yours alone. The files are not: containers read them as users of their own, with the modes here.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
for name in db_password lab_password watch_password jupyter_token; do
    [ -s "secrets/$name" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$name"
done
# Keys of providers: empty until you write them.
for name in openai_api_key anthropic_api_key gemini_api_key; do
    [ -e "secrets/$name" ] || : > "secrets/$name"
done
chmod 700 secrets
chmod 644 secrets/*
