package caddyjwt
import (
 _ "github.com/caddyserver/caddy/v2"
 _ "github.com/MicahParks/keyfunc/v3"
 _ "github.com/MicahParks/jwkset"
 _ "github.com/golang-jwt/jwt/v5"
)
