#!/bin/sh
# Makes the passwords of an installation, once, into volumes that only their readers mount. Run by the service `secrets` of
# docker-compose.yml in the database's image, which has a shell; ours have none. Prints no secret.
set -eu
umask 077

database=/secrets/database broker=/secrets/broker identity=/secrets/identity mailer=/secrets/mailer gateway=/secrets/gateway

# 32 random bytes as 64 hexadecimal digits: safe in a URL, in SQL, in a header and in RabbitMQ's configuration.
random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# put FILE: from standard input.
put() { cat >"$1"; chmod 0400 "$1"; }

# What gateway and identity-svc share. An installation of an earlier release has none; it gets one here. While it is changed by
# hand the two files differ, and stay so.
share() {
  if [ ! -e "$gateway/internal-secret" ] || [ ! -e "$identity/internal-secret" ]; then
    secret=$(random)
    [ "${#secret}" = 64 ]
    for folder in "$gateway" "$identity"; do
      rm -f "$folder/internal-secret"
      printf '%s\n' "$secret" | put "$folder/internal-secret"
      chown 65532 "$folder/internal-secret"
    done
    chmod 0750 "$gateway"
    chown 65532:0 "$gateway"
    echo "made the secret of gateway and identity-svc"
  fi
}

if [ -e "$mailer/.complete" ]; then
  share
  echo "the secrets are there"
  exit 0
fi
# Nothing has used an incomplete set: the services wait for this one to end well.
chown 0:0 "$database" "$broker" "$identity" "$mailer" "$gateway"
rm -f "$database"/* "$broker"/* "$identity"/* "$mailer"/* "$gateway"/*

postgres_password=$(random) database_password=$(random) queue_password=$(random)
[ "${#postgres_password}${#database_password}${#queue_password}" = 646464 ]

printf '%s\n' "$postgres_password" | put "$database/postgres-password"
printf '%s\n' "$database_password" | put "$database/gatehouse-password"
printf 'postgres://gatehouse:%s@database:5432/gatehouse\n' "$database_password" | put "$identity/database-url"
printf 'amqp://gatehouse:%s@broker:5672/gatehouse\n' "$queue_password" | put "$identity/queue-url"
printf 'amqp://gatehouse:%s@broker:5672/gatehouse\n' "$queue_password" | put "$mailer/queue-url"

# RabbitMQ's image takes no password from a file, so its whole configuration is made here. The user may touch our queues
# and nothing else.
put "$broker/20-gatehouse.conf" <<CONF
log.console = true
log.console.level = info
loopback_users.guest = true
default_vhost = gatehouse
default_user = gatehouse
default_pass = $queue_password
default_user_tags.administrator = false
default_permissions.configure = ^mail(\\..*)?\$
default_permissions.read = ^mail(\\..*)?\$
default_permissions.write = ^mail(\\..*)?\$
vm_memory_high_watermark.absolute = ${BROKER_MEMORY:-256MiB}
disk_free_limit.absolute = 200MB
CONF

# The readers' users: those of the official images, and of ours.
give() { chmod 0750 "$2"; chown "$1" "$2"/*; chown "$1:0" "$2"; }
touch "$mailer/.complete"
share
give "${DATABASE_USER:-999}" "$database"
give "${BROKER_USER:-999}" "$broker"
give 65532 "$identity"
give 65532 "$mailer"
echo "made the secrets"
