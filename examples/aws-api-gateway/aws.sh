#!/bin/sh
# Makes what this example takes over from AWS API Gateway, with openssl alone.
#
#   ./aws.sh make             makes keys.csv, private.pem and public.pem
#   ./aws.sh key <name>       prints the key with this name, as its holder has it
#   ./aws.sh token            prints a token signed with private.pem
set -eu
cd "$(dirname "$0")"

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# AWS makes keys of 40 letters and digits.
random_key() { openssl rand -hex 20; }

case "${1-} ${2-}" in
"make ")
	for file in keys.csv private.pem public.pem; do
		if [ -e "$file" ]; then
			echo "$file already exists and is not overwritten; remove keys.csv, keys.jsonl, private.pem and public.pem for new keys" >&2
			exit 1
		fi
	done
	umask 077
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out private.pem 2>/dev/null
	openssl pkey -in private.pem -pubout -out public.pem
	{
		echo 'Name,key,description,Enabled,usageplanIds'
		echo "partner,$(random_key),,TRUE,\"c7y23b,glvrsr\""
		echo "shop,$(random_key),The web shop,TRUE,glvrsr"
		echo "former,$(random_key),Left last year,FALSE,glvrsr"
	} >keys.csv
	echo 'Made keys.csv, private.pem and public.pem. Take the keys over with:'
	echo '  ./caddy jwt api-key import keys.csv --append keys.jsonl'
	;;
"key "?*)
	grep "^$2," keys.csv | cut -d, -f2 | grep . || {
		echo "keys.csv has no key with the name $2" >&2
		exit 1
	}
	;;
"token ")
	head=$(printf '{"alg":"RS256","typ":"JWT"}' | b64)
	claims=$(printf '{"iss":"https://signer.example.com/","aud":"https://api.example.com","sub":"alice","exp":%d}' $(($(date +%s) + 3600)) | b64)
	signature=$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -sign private.pem -binary | b64)
	printf '%s.%s.%s\n' "$head" "$claims" "$signature"
	;;
*)
	sed -n '2,6p' "$0" >&2
	exit 2
	;;
esac
