package peers

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// Ports come from below the kernel's ephemeral range: a port found free there
// is not handed to somebody's outgoing connection before a child process binds
// it. The process id spreads test binaries that run at the same time.
const (
	firstPort = 20000
	portSpan  = 12000
)

var nextPort atomic.Uint32

func init() { nextPort.Store(uint32(os.Getpid()*131) % portSpan) }

// FreePort returns a loopback port that is free for TCP and for UDP, since
// HTTP/3 listens on the same number.
func FreePort(t testing.TB) int {
	t.Helper()
	for range portSpan {
		port := firstPort + int(nextPort.Add(1)%portSpan)
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
