#!/bin/sh
# What the README's commands need besides Caddy: openssl, and Redis for the nodes.
#
#   ./cluster.sh make          makes secret.txt, which signs tokens, and state-key.txt
#   ./cluster.sh redis         runs a Redis that keeps what it acknowledges, in ./redis
#   ./cluster.sh node 1        runs the first node, ./cluster.sh node 2 the second
#   ./cluster.sh token alice   prints a token of this user
set -eu
cd "$(dirname "$0")"

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

case "${1-} ${2-}" in
"make ")
	for file in secret.txt state-key.txt; do
		if [ -e "$file" ]; then
			echo "$file already exists and is not overwritten; remove secret.txt, state-key.txt and the folder redis to begin again" >&2
			exit 1
		fi
	done
	umask 077
	openssl rand -hex 32 >secret.txt
	openssl rand -base64 32 >state-key.txt
	echo 'Made secret.txt and state-key.txt.'
	;;
"redis ")
	mkdir -p redis
	exec redis-server --bind 127.0.0.1 --port "${REDIS_PORT:-6390}" --dir "$PWD/redis" --save '' --appendonly yes --appendfsync always
	;;
"node 1" | "node 2")
	JWT_SECRET=$(cat secret.txt)
	JWT_STATE_KEY=$(cat state-key.txt)
	NODE=$2 AUDIT_LOG=audit-$2.log
	case $2 in
	1) HTTPS_PORT=${HTTPS_PORT_1:-8441} CADDY_ADMIN=127.0.0.1:${ADMIN_PORT_1:-2021} ;;
	2) HTTPS_PORT=${HTTPS_PORT_2:-8442} CADDY_ADMIN=127.0.0.1:${ADMIN_PORT_2:-2022} ;;
	esac
	export JWT_SECRET JWT_STATE_KEY NODE AUDIT_LOG HTTPS_PORT CADDY_ADMIN
	exec ./caddy run
	;;
token\ ?*)
	now=$(date +%s)
	head=$(printf '{"alg":"HS256","typ":"JWT"}' | b64)
	claims=$(printf '{"iss":"https://signer.example.com/","aud":"https://api.example.com","sub":"%s","jti":"%s","iat":%d,"exp":%d}' \
		"$2" "$(openssl rand -hex 16)" "$now" $((now + 3600)) | b64)
	signature=$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -hmac "$(cat secret.txt)" -binary | b64)
	printf '%s.%s.%s\n' "$head" "$claims" "$signature"
	;;
*)
	sed -n '4,7p' "$0" >&2
	exit 2
	;;
esac
