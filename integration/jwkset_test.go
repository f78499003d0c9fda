package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// publicKey reads a P-256 key out of a JWK Set, without the code under test.
func publicKey(set, kid string) (*ecdsa.PublicKey, error) {
	var all struct {
		Keys []struct{ Kty, Crv, Kid, X, Y string }
	}
	if err := json.Unmarshal([]byte(set), &all); err != nil {
		return nil, err
	}
	for _, k := range all.Keys {
		if k.Kid != kid {
			continue
		}
		if k.Kty != "EC" || k.Crv != "P-256" {
			return nil, fmt.Errorf("the key %s is no P-256 key", kid)
		}
		point := []byte{4}
		for _, text := range []string{k.X, k.Y} {
			coordinate, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				return nil, err
			}
			point = append(point, coordinate...)
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	}
	return nil, fmt.Errorf("no key %s", kid)
}
