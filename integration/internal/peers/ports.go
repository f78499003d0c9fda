package peers

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Ports come from below the kernel's ephemeral range: a port found free there
// is not handed to somebody's outgoing connection before a child process binds
// it. Test binaries that run at the same time have a block each, so that neither
// takes a port that another has just found free.
const (
	firstPort = 20000
	blocks    = 12
	blockSize = 1000
)

var nextPort atomic.Uint32

// ownBlock is a block of ports that this process alone takes from.
type ownBlock struct {
	first int
	claim net.Listener // kept, as a listener that nothing refers to is closed
}

// block claims one, by listening on its first port until the process ends.
var block = sync.OnceValue(func() ownBlock {
	for n := range blocks {
		first := firstPort + n*blockSize
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first))
		if err == nil {
			return ownBlock{first, listener}
		}
	}
	return ownBlock{}
})

// FreePort returns a loopback port that is free for TCP and for UDP, since
// HTTP/3 listens on the same number.
func FreePort(t testing.TB) int {
	t.Helper()
	first := block().first
	if first == 0 {
		t.Fatal("no free block of loopback ports: too many tests run at the same time")
	}
	for range blockSize {
		port := first + 1 + int(nextPort.Add(1)%(blockSize-1))
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		_ = tcp.Close()
		if err != nil {
			continue
		}
		_ = udp.Close()
		return port
	}
	t.Fatal("no free loopback port")
	return 0
}
