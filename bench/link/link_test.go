package link

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is also what the tests run in the namespaces.
func TestMain(m *testing.M) {
	roles := map[string]func([]string) error{"receive": receive, "send": send}
	role, ok := roles[os.Getenv("LINK_TEST_ROLE")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// receive takes connections at an address, as many as its second argument
// says, and prints the checksum of what comes over each.
func receive(args []string) error {
	flows, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("listening")
	var all sync.WaitGroup
	for range flows {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		all.Go(func() {
			hash := sha256.New()
			if _, err := io.CopyBuffer(struct{ io.Writer }{hash}, struct{ io.Reader }{conn}, make([]byte, 1<<18)); err != nil {
				fmt.Println(err)
			}
			fmt.Println(hex.EncodeToString(hash.Sum(nil)))
			_ = conn.Close()
		})
	}
	all.Wait()
	return listener.Close()
}

// send opens connections to an address, sends the payload of a number of MiB
// over each, waits until it has arrived, and prints how long the slowest
// connection took to open. Its arguments: address, number of connections, MiB,
// congestion control or "".
func send(args []string) error {
	flows, _ := strconv.Atoi(args[1])
	mib, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if args[3] == "" {
			return nil
		}
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, args[3])
		}), err)
	}}
	failed := make(chan error)
	for range flows {
		go func() { failed <- sendOne(&dialer, args[0], mib) }()
	}
	for range flows {
		err = errors.Join(err, <-failed)
	}
	return err
}

func sendOne(dialer *net.Dialer, address string, mib int) error {
	start := time.Now()
	conn, err := dialer.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	fmt.Println(time.Since(start))
	block := payload()
	for range mib {
		if _, err := conn.Write(block); err != nil {
			return err
		}
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.ReadAll(conn) // Its end says that all has arrived.
	return err
}

// payload returns one MiB.
func payload() []byte {
	block := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(block)
	return block
}

// newLink makes a link, or skips the test and says why.
func newLink(tb testing.TB, c Config) *Link {
	tb.Helper()
	l, err := New(tb.Context(), c)
	if errors.Is(err, ErrUnavailable) {
		tb.Skipf("only root with /dev/net/tun can make a link; what decides about packets is tested without: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// transfer sends from A to B and returns what both have printed.
func (l *Link) transfer(tb testing.TB, flows, mib int, congestion string) (sent, received []string) {
	tb.Helper()
	address := l.B.Addr.String() + ":4000"
	role := func(e End, args ...string) *exec.Cmd {
		c := e.Command(tb.Context(), append([]string{os.Args[0]}, args...)...)
		c.Env = append(os.Environ(), "LINK_TEST_ROLE="+args[0])
		c.Args = append(c.Args[:len(c.Args)-len(args)], args[1:]...)
		c.Stderr = os.Stderr
		return c
	}
	receiver := role(l.B, "receive", address, strconv.Itoa(flows))
	out, err := receiver.StdoutPipe()
	if err == nil {
		err = receiver.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "listening" {
		tb.Fatalf("the receiver says %q", lines.Text())
	}
	printed, err := role(l.A, "send", address, strconv.Itoa(flows), strconv.Itoa(mib), congestion).Output()
	if err != nil {
		tb.Fatalf("the sender: %v", err)
	}
	for lines.Scan() {
		received = append(received, lines.Text())
	}
	if err := receiver.Wait(); err != nil {
		tb.Fatalf("the receiver: %v", err)
	}
	return strings.Fields(string(printed)), received
}

func TestTCPCrossesALinkWithLossWhichNeedsRootAndTun(t *testing.T) {
	const flows, mib, delay = 2, 4, 10 * time.Millisecond
	l := newLink(t, Config{Delay: delay, Loss: 0.01, Seed: 1, BytesPerSecond: 125_000_000, Queue: 1 << 20})
	opened, sums := l.transfer(t, flows, mib, "")
	want := sha256.Sum256(bytes.Repeat(payload(), mib))
	if len(sums) != flows {
		t.Errorf("%d transfers have ended, want %d", len(sums), flows)
	}
	for _, sum := range sums {
		if sum != hex.EncodeToString(want[:]) {
			t.Errorf("the bytes that arrived have the checksum %s, want %x", sum, want)
		}
	}
	for _, o := range opened {
		if took, err := time.ParseDuration(o); err != nil || took < 2*delay {
			t.Errorf("a connection was opened in %v (%v), less than a round trip of %v", took, err, 2*delay)
		}
	}
	s := l.Stats()
	if s.AB.Bytes < flows*mib<<20 || s.AB.Packets < s.AB.Bytes/mtu || s.AB.Lost == 0 || s.BA.Packets == 0 {
		t.Errorf("after %d MiB the counts are %+v", flows*mib, s)
	}
}

func TestALinkEndsWithItsContextAndLeavesNothingWhichNeedsRootAndTun(t *testing.T) {
	c := Config{BytesPerSecond: 1 << 20, Queue: 1 << 20}
	newLink(t, c) // The runtime opens what it needs for itself.
	before := descriptors(t)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-l.ended
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors are open, before the link %d", after, before)
	}
}

// descriptors counts those that are open. What a link leaves behind has one:
// namespaces and devices have no names and end when nothing refers to them.
func descriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestAConfigThatMakesNoSenseIsRefused(t *testing.T) {
	good := Config{Delay: time.Millisecond, Loss: 0.5, BytesPerSecond: 1, Queue: mtu}
	if err := good.check(); err != nil {
		t.Errorf("%+v: %v", good, err)
	}
	for what, spoil := range map[string]func(*Config){
		"delay":    func(c *Config) { c.Delay = -1 },
		"loss":     func(c *Config) { c.Loss = 1.1 },
		"a second": func(c *Config) { c.BytesPerSecond = 0 },
		"queue":    func(c *Config) { c.Queue = mtu - 1 },
	} {
		c := good
		spoil(&c)
		if _, err := New(t.Context(), c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: the error is %v, want one about %s", c, err, what)
		}
	}
}

// BenchmarkTCP sends b.N MiB over a gigabit path with a round trip of 30 ms.
// BBR hardly minds loss, CUBIC does: run it with -benchtime 500x for the one,
// and 20x for the other with loss.
func BenchmarkTCP(b *testing.B) {
	for _, congestion := range []string{"cubic", "bbr"} {
		for _, loss := range []float64{0, 0.01} {
			for _, flows := range []int{1, 4} {
				b.Run(fmt.Sprintf("%s/loss=%v/flows=%d", congestion, loss, flows), func(b *testing.B) {
					l := newLink(b, Config{Delay: 15 * time.Millisecond, Loss: loss, Seed: 1, BytesPerSecond: 125_000_000, Queue: 1 << 20})
					b.SetBytes(1 << 20)
					b.ResetTimer()
					before := cpu(b)
					l.transfer(b, flows, max(1, b.N/flows), congestion)
					b.ReportMetric((cpu(b)-before).Seconds()/b.Elapsed().Seconds(), "cores")
					s := l.Stats()
					b.ReportMetric(float64(s.AB.Dropped+s.BA.Dropped), "dropped")
					b.ReportMetric(float64(s.AB.Late.Microseconds()), "µs-late")
				})
			}
		}
	}
}

// cpu returns the CPU time of this process, which is that of the carrier.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
