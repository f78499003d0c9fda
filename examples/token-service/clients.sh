#!/bin/sh
# The clients of this example, with openssl and Caddy's own command for API keys.
#
#   ./clients.sh make                  makes their keys
#   ./clients.sh assertion deploy-bot  prints a text that this client has signed, good
#                                      for one request within a minute
set -eu
cd "$(dirname "$0")"

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

case "${1-} ${2-}" in
"make ")
	for file in clients.jsonl reports.key gateway.key deploy-bot.key nightly.key; do
		if [ -e "$file" ]; then
			echo "$file already exists and is not overwritten; remove clients.jsonl, *.key and *.pem for new keys" >&2
			exit 1
		fi
	done
	umask 077
	new='./caddy jwt api-key new --append clients.jsonl --no-wait'
	$new --id reports --consumer reports --scopes orders:read >reports.key
	$new --id gateway --consumer gateway >gateway.key
	for client in deploy-bot nightly; do
		openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $client.key 2>/dev/null
		openssl pkey -in $client.key -pubout -out $client.pem
	done
	echo 'Made clients.jsonl, reports.key, gateway.key, and key pairs of deploy-bot and nightly. Start Caddy with:'
	echo '  ./caddy run'
	;;
assertion\ ?*)
	now=$(date +%s)
	head=$(printf '{"alg":"RS256","typ":"JWT"}' | b64)
	claims=$(printf '{"iss":"%s","sub":"%s","aud":"http://localhost:%s","jti":"%s","iat":%d,"exp":%d}' \
		"$2" "$2" "${AUTH_PORT:-8480}" "$(openssl rand -hex 16)" "$now" $((now + 60)) | b64)
	printf '%s.%s.%s\n' "$head" "$claims" "$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -sign "$2.key" -binary | b64)"
	;;
*)
	sed -n '4,6p' "$0" >&2
	exit 2
	;;
esac
