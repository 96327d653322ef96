#!/bin/sh
# Prints the Secrets of an overlay as a manifest, with random passwords, a first signing key and a first encryption key, for kubectl apply -f -.
#
#   deploy/kubernetes/secrets.sh dev [NAMESPACE]
#   deploy/kubernetes/secrets.sh production [NAMESPACE]     asks for the three URLs and passwords that others gave you:
#                       DATABASE_URL= QUEUE_URL= SMTP_PASSWORD= in the environment, each as a whole
#
# Run it once: a second time it makes other passwords, a new signing key, which logs everybody out, and a new
# encryption key, without which waiting mails cannot be read. Needs openssl.
set -eu
overlay=${1:-} namespace=${2:-gatehouse}
encode() { base64 | tr -d '\n'; }
random() { openssl rand -hex 32; }
# secret NAME KEY VALUE ...
secret() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: { name: %s, namespace: %s }\ntype: Opaque\ndata:\n' "$1" "$namespace"
  shift
  while [ $# -gt 0 ]; do
    printf '  %s: %s\n' "$1" "$(printf '%s' "$2" | encode)"
    shift 2
  done
}
case $overlay in
  dev)
    password=$(random) queue_password=$(random)
    DATABASE_URL=postgres://gatehouse:$password@database:5432/gatehouse
    QUEUE_URL=amqp://gatehouse:$queue_password@broker:5672/gatehouse
    # For a cluster where nothing is yet.
    printf 'apiVersion: v1\nkind: Namespace\nmetadata: { name: %s }\n' "$namespace"
    secret gatehouse-database password "$password"
    secret gatehouse-broker 20-gatehouse.conf "log.console = true
default_vhost = gatehouse
default_user = gatehouse
default_pass = $queue_password
default_user_tags.administrator = false
default_permissions.configure = ^mail(\\..*)?\$
default_permissions.read = ^mail(\\..*)?\$
default_permissions.write = ^mail(\\..*)?\$
"
    secret gatehouse-mailer queue-url "$QUEUE_URL"
    ;;
  production)
    : "${DATABASE_URL:?}" "${QUEUE_URL:?}" "${SMTP_PASSWORD:?}"
    secret gatehouse-mailer queue-url "$QUEUE_URL" smtp-password "$SMTP_PASSWORD"
    ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
secret gatehouse-identity database-url "$DATABASE_URL" queue-url "$QUEUE_URL"
# The form of identity-svc's keys file; `identity-svc keys rotate` makes the next ones.
key=$(openssl genpkey -algorithm ed25519 | sed 's/$/\\n/' | tr -d '\n')
now=$(($(date +%s) * 1000))
secret gatehouse-keys keys.json "{\"keys\": [{\"kid\": \"$(openssl rand -hex 8)\", \"algorithm\": \"EdDSA\", \"created_at_ms\": $now, \"active_from_ms\": $now, \"private_key\": \"$key\"}]}"
# The form of the file of encryption keys; `identity-svc encryption-keys rotate` makes the next ones.
secret gatehouse-encryption-keys keys.json "{\"keys\": [{\"id\": \"$(openssl rand -hex 8)\", \"created_at_ms\": $now, \"active_from_ms\": $now, \"key\": \"$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n')\"}]}"
# What gateway and identity-svc share.
secret gatehouse-internal internal-secret "$(random)"
