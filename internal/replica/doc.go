// Package replica keeps sets of facts that the nodes of a cluster share through a storage.
//
// A set is the union of immutable objects, named by their content, in one flat folder of
// the storage. There is no lock and no object that is changed: a write is one new object;
// a merge is one that holds what others hold, which are deleted later; a removal is a fact
// too. So nothing that was acknowledged can be lost, whatever the storage's locks do.
//
//	objects.go   the door to a folder of a storage
//	folder.go    that door over certmagic.Storage, with all that storages do otherwise
//	folder_*.go  the file system, other storages, calls that hang, what to warn of
//	language.go  what a set's facts are
//	object.go    how facts are written into an object, sign.go how it is signed
//	facts.go     the union of objects, and whether one holds all of others
//	state.go     what a node knows of the objects
//	write.go     changes: batches, storing them, pushing what waits; pack.go, apply.go
//	sync.go      a sync; load.go what it loads, heal.go what it stores again, call.go one call
//	merge.go     merging; settle.go what replaces what, prune.go deleting what was replaced
//	mirror.go    the copy on this machine
//	early.go     syncs that a request brings forward
//	replica.go   a set as one node has it
package replica
