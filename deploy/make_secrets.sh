#!/bin/sh
# Random passwords for docker compose. Run it as often as you like: it replaces nothing.
set -eu
cd "$(dirname "$0")/.."
umask 077

folder=${FOGLAB_SECRETS:-./secrets}
mkdir -p "$folder"
# The folder keeps other users of this machine out. The files in it can be read by everyone who
# gets that far, because each container mounts its own files and reads them under its own user.
chmod 0700 "$folder"

for name in postgres_password redis_password; do
  file=$folder/$name
  if [ -s "$file" ]; then
    echo "$file is kept"
    continue
  fi
  new=$file.$$
  od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$new"
  chmod 0444 "$new"
  mv "$new" "$file"
  echo "$file is new"
done

# docker compose reads .env by itself, and refuses to start without this line.
if ! grep -qs '^FOGLAB_SECRETS=' .env; then
  echo "FOGLAB_SECRETS=$folder" >>.env
fi
