// Go's mutexes and etcdctl's locks in one queue, as the dashboard shows it:
//
//	queue -endpoint HOST:PORT -tui PROGRAM -etcdctl PROGRAM
//
// At each of some hand-offs, the entries that `leasehold-tui --once` prints must be those that etcd itself has at
// the same revision, in the order of their create revisions. Ends with the first difference, or with "all
// passed". Needs only packages that Debian ships.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
)

const (
	name     = "/leasehold/locks/shared/report"
	patience = 60 * time.Second
	handOffs = 20
	mutexes  = 4
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// The fields of `--once --format json` that are compared.
type told struct {
	Revision int64
	Locks    []struct {
		Name  string
		Queue []struct {
			Key   string
			Token int64
		}
	}
}

// Reads the dashboard's queue, and etcd's at the revision that the dashboard has.
func compare(ctx context.Context, c *clientv3.Client, tui, endpoint string) {
	out, err := exec.CommandContext(ctx, tui, "--endpoint", "http://"+endpoint, "--once", "--format", "json").Output()
	must(err)
	var all told
	must(json.Unmarshal(out, &all))
	got, err := c.Get(ctx, name+"/", clientv3.WithPrefix(), clientv3.WithRev(all.Revision),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	must(err)
	var shown, wanted []string
	for _, lock := range all.Locks {
		if lock.Name != name {
			continue
		}
		for _, place := range lock.Queue {
			shown = append(shown, fmt.Sprintf("%s at %d", place.Key, place.Token))
		}
	}
	for _, key := range got.Kvs {
		wanted = append(wanted, fmt.Sprintf("%s at %d", key.Key, key.CreateRevision))
	}
	if a, b := strings.Join(shown, "\n"), strings.Join(wanted, "\n"); a != b || a == "" {
		log.Fatalf("at revision %d the dashboard has\n%s\nand etcd\n%s", all.Revision, a, b)
	}
	fmt.Printf("revision %d: %d in order\n", all.Revision, len(shown))
}

func main() {
	endpoint := flag.String("endpoint", "127.0.0.1:2379", "")
	tui := flag.String("tui", "target/debug/leasehold-tui", "")
	etcdctl := flag.String("etcdctl", "etcdctl", "")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{*endpoint}, DialTimeout: 5 * time.Second})
	must(err)

	var wg sync.WaitGroup
	turns := make(chan struct{}, handOffs)
	for i := 0; i < handOffs; i++ {
		turns <- struct{}{}
	}
	close(turns)
	for i := 0; i < mutexes; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s, err := concurrency.NewSession(c, concurrency.WithTTL(10))
			must(err)
			defer s.Close()
			m := concurrency.NewMutex(s, name)
			for range turns {
				must(m.Lock(ctx))
				// It holds the lock during the request, so the answer has a holder.
				compare(ctx, c, *tui, *endpoint)
				must(m.Unlock(ctx))
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; i < handOffs/mutexes; i++ {
			lock := exec.CommandContext(ctx, *etcdctl, "--endpoints", *endpoint, "lock", name, "true")
			lock.Env = append(os.Environ(), "ETCDCTL_API=3")
			if out, err := lock.CombinedOutput(); err != nil {
				log.Fatalf("etcdctl lock: %v: %s", err, out)
			}
		}
	}()
	wg.Wait()
	fmt.Println("all passed")
}
