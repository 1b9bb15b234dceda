// Operations of Go programs that use etcd's concurrency package, run on a server: check -endpoint HOST:PORT
//
// Ends with the first difference from etcd, or with "all passed". Needs only packages that Debian ships.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
)

const patience = 20 * time.Second

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func session(c *clientv3.Client, ttl int) *concurrency.Session {
	s, err := concurrency.NewSession(c, concurrency.WithTTL(ttl))
	must(err)
	return s
}

// Two sessions, one mutex: a short wait for it fails, a long one ends when it is free.
func mutex(ctx context.Context, c *clientv3.Client) {
	a, b := session(c, 10), session(c, 10)
	defer a.Close()
	defer b.Close()
	first, second := concurrency.NewMutex(a, "/go/m"), concurrency.NewMutex(b, "/go/m")
	must(first.Lock(ctx))
	soon, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := second.Lock(soon); !errors.Is(err, context.DeadlineExceeded) {
		log.Fatalf("waiting a little for a held lock: %v", err)
	}
	owned, err := c.Txn(ctx).If(first.IsOwner()).Then(clientv3.OpPut("/go/guarded", "1")).Commit()
	must(err)
	if !owned.Succeeded {
		log.Fatal("the holder is not the owner")
	}
	got := make(chan error, 1)
	go func() { got <- second.Lock(ctx) }()
	select {
	case err := <-got:
		log.Fatalf("two hold the lock: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	must(first.Unlock(ctx))
	must(<-got)
	must(second.Unlock(ctx))
}

// Many take turns, and none is inside with another.
func crowd(ctx context.Context, c *clientv3.Client) {
	var wg sync.WaitGroup
	inside, turns := 0, 0
	for i := 0; i < 20; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s := session(c, 10)
			defer s.Close()
			m := concurrency.NewMutex(s, "/go/crowd")
			for j := 0; j < 20; j++ {
				must(m.Lock(ctx))
				if inside++; inside != 1 {
					log.Fatal("two are inside")
				}
				turns++
				inside--
				must(m.Unlock(ctx))
			}
		}()
	}
	wg.Wait()
	if turns != 400 {
		log.Fatalf("%d turns of 400", turns)
	}
}

// A session whose program has ended expires by itself, and its lock is free.
func orphan(ctx context.Context, c *clientv3.Client) {
	a, b := session(c, 2), session(c, 10)
	defer b.Close()
	must(concurrency.NewMutex(a, "/go/orphan").Lock(ctx))
	a.Orphan()
	m := concurrency.NewMutex(b, "/go/orphan")
	began := time.Now()
	must(m.Lock(ctx))
	if waited := time.Since(began); waited < time.Second {
		log.Fatalf("the lock was free after %v", waited)
	}
	must(m.Unlock(ctx))
}

// A leader, one that observes, and an heir.
func election(ctx context.Context, c *clientv3.Client) {
	a, b := session(c, 10), session(c, 10)
	defer a.Close()
	defer b.Close()
	first, second := concurrency.NewElection(a, "/go/e"), concurrency.NewElection(b, "/go/e")
	if _, err := first.Leader(ctx); !errors.Is(err, concurrency.ErrElectionNoLeader) {
		log.Fatalf("there is no leader, yet: %v", err)
	}
	observed := second.Observe(ctx)
	expect := func(value string) {
		for response := range observed {
			if string(response.Kvs[0].Value) == value {
				return
			}
		}
		log.Fatalf("%s was not observed", value)
	}
	must(first.Campaign(ctx, "ann"))
	expect("ann")
	must(first.Proclaim(ctx, "anna"))
	expect("anna")
	won := make(chan error, 1)
	go func() { won <- second.Campaign(ctx, "bob") }()
	must(first.Resign(ctx))
	must(<-won)
	expect("bob")
	leader, err := second.Leader(ctx)
	must(err)
	if string(leader.Kvs[0].Value) != "bob" {
		log.Fatalf("the leader is %s", leader.Kvs[0].Value)
	}
	must(second.Resign(ctx))
}

// Transactions that are retried when a key they read has changed: no update is lost.
func stm(ctx context.Context, c *clientv3.Client) {
	var wg sync.WaitGroup
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := 0; j < 10; j++ {
				_, err := concurrency.NewSTM(c, func(s concurrency.STM) error {
					s.Put("/go/count", s.Get("/go/count")+"x")
					return nil
				})
				must(err)
			}
		}()
	}
	wg.Wait()
	got, err := c.Get(ctx, "/go/count")
	must(err)
	if len(got.Kvs[0].Value) != 80 {
		log.Fatalf("%d of 80 were counted", len(got.Kvs[0].Value))
	}
}

func main() {
	endpoint := flag.String("endpoint", "127.0.0.1:2379", "where the server listens")
	flag.Parse()
	log.SetFlags(0)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{*endpoint}, DialTimeout: 5 * time.Second})
	must(err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience*3)
	defer cancel()
	tests := []struct {
		name string
		run  func(context.Context, *clientv3.Client)
	}{{"mutex", mutex}, {"crowd", crowd}, {"orphan", orphan}, {"election", election}, {"stm", stm}}
	for _, t := range tests {
		began := time.Now()
		t.run(ctx, c)
		fmt.Printf("%s passed in %v\n", t.name, time.Since(began).Round(time.Millisecond))
	}
	fmt.Println("all passed")
}
