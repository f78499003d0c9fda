module github.com/caddy-jwt/caddy-jwt/bench

go 1.26.0

replace github.com/caddy-jwt/caddy-jwt => ../

require (
	github.com/caddy-jwt/caddy-jwt v0.0.0-00010101000000-000000000000
	github.com/elastic/go-freelru v0.16.0
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/hashicorp/golang-lru/v2 v2.0.7
	github.com/maypok86/otter/v2 v2.3.0
)

require (
	github.com/MicahParks/jwkset v0.11.3 // indirect
	github.com/MicahParks/keyfunc/v3 v3.9.0 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/time v0.16.0 // indirect
)
