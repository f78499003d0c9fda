package key

import "strings"

// TenantMark stands for the id of a tenant in the "issuer" of a key that is for all tenants,
// and in the metadata of issuers of many tenants.
const TenantMark = "{tenantid}"

// Issuer implements Key.
func (k *base) Issuer() string { return k.issuer }

// Serves implements Key. A key that does not say whose it is serves all tokens that its key
// set is asked about. Otherwise:
//
// Where the issuer's name is a template, the key set is that of many tenants, and a key is
// for all of them, if it has {tenantid}, or for exactly one iss. Entra's key set says so of
// the keys for tokens of the second version alone, which are those for the first too.
//
// Elsewhere the config names the issuer and its key set. There a key is another's only if it
// names another tenant, or an issuer without tenants that is another; other texts, such as
// the name of a certificate's issuer, say nothing about tokens.
func (k *base) Serves(iss, tenant string) bool {
	switch {
	case k.issuer == "":
		return true
	case tenant != "":
		named := strings.Replace(k.issuer, TenantMark, tenant, 1)
		return named == iss || firstVersion(named) == iss
	case !strings.HasPrefix(k.issuer, "https://") && !strings.HasPrefix(k.issuer, "http://"):
		return true
	}
	whose, of := firstStep(k.issuer), firstStep(iss)
	if whose == TenantMark || IsTenant(whose) {
		return IsTenant(of) && (whose == TenantMark || whose == of)
	}
	return strings.TrimSuffix(k.issuer, "/") == strings.TrimSuffix(iss, "/")
}

// IsTenant reports whether a text is the id of a tenant: a UUID in lower case (RFC 9562
// section 4).
func IsTenant(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// clouds are where the iss of Entra's tokens begins: in the second version, and in the first.
var clouds = [...]struct{ second, first string }{
	{"https://login.microsoftonline.com/", "https://sts.windows.net/"},
	{"https://login.microsoftonline.us/", "https://sts.windows.net/"},
	{"https://login.partner.microsoftonline.cn/", "https://sts.chinacloudapi.cn/"},
}

// firstVersion returns the iss of a tenant's tokens of the first version for that of the
// second, or "" for any other.
func firstVersion(iss string) string {
	rest, second := strings.CutSuffix(iss, "/v2.0")
	if !second {
		return ""
	}
	for _, c := range clouds {
		if tenant, ok := strings.CutPrefix(rest, c.second); ok {
			return c.first + tenant + "/"
		}
	}
	return ""
}

// firstStep returns the first step of the path of a URL, or "".
func firstStep(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	_, path, _ := strings.Cut(rest, "/")
	step, _, _ := strings.Cut(path, "/")
	return step
}
