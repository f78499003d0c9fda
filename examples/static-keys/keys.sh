#!/bin/sh
# Makes keys and tokens for this example with openssl alone.
#
#   ./keys.sh make            makes private.pem, public.pem and secret.txt
#   ./keys.sh token rs256     prints a token signed with private.pem
#   ./keys.sh token hs256     prints a token signed with the secret
set -eu
cd "$(dirname "$0")"

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

case "${1-} ${2-}" in
"make ")
	for file in private.pem public.pem secret.txt; do
		if [ -e "$file" ]; then
			echo "$file already exists and is not overwritten; remove private.pem, public.pem and secret.txt for new keys" >&2
			exit 1
		fi
	done
	umask 077
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out private.pem 2>/dev/null
	openssl pkey -in private.pem -pubout -out public.pem
	openssl rand -hex 32 >secret.txt
	echo 'Made private.pem, public.pem and secret.txt. Start Caddy with:'
	echo '  JWT_SECRET=$(cat secret.txt) ./caddy run'
	;;
"token rs256")
	iss=https://signer.example.com/
	signature() { openssl dgst -sha256 -sign private.pem -binary | b64; }
	;;
"token hs256")
	iss=internal
	signature() { openssl dgst -sha256 -hmac "$(cat secret.txt)" -binary | b64; }
	;;
*)
	sed -n '2,6p' "$0" >&2
	exit 2
	;;
esac

if [ "$1" = token ]; then
	alg=$(echo "$2" | tr rsh RSH)
	head=$(printf '{"alg":"%s","typ":"JWT"}' "$alg" | b64)
	claims=$(printf '{"iss":"%s","aud":"https://api.example.com","sub":"alice","exp":%d}' "$iss" $(($(date +%s) + 3600)) | b64)
	printf '%s.%s.%s\n' "$head" "$claims" "$(printf '%s.%s' "$head" "$claims" | signature)"
fi
