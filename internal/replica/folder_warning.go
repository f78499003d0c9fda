package replica

// Warning returns what to tell those who share state through a storage that is known to be
// unfit for it, or to need care: one sentence, empty for every other storage. moduleID is
// the id of the storage's module, such as caddy.storage.redis.
//
// It is about plugins and not about what they store in: several have the same id, as those
// for S3, and are not in this list if only one of them is unfit.
func Warning(moduleID string) string {
	switch moduleID {
	case "caddy.storage.dynamodb":
		// github.com/silinternational/certmagic-storage-dynamodb v3.1.1
		return "this storage reads its whole table each time that the state is synced, and ends Caddy if that fails; share state through another one, such as caddy.storage.redis"
	case "caddy.storage.mysql":
		// github.com/zhangjiayin/caddy-mysql-storage v1.0: the column is BLOB. Its log
		// at level DEBUG has every value that it stores.
		return "this storage takes at most 64 KiB a value and may cut off the rest without an error, so change the column certmagic_data.value to MEDIUMBLOB; its log at level DEBUG has all that is stored"
	default:
		return ""
	}
}
